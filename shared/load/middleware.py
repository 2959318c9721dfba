"""The load header on every answer. Raw ASGI."""

from shared.asgi import App, Message, Receive, Scope, Send
from shared.load.meter import LoadMeter

_HEADER = b"endpoint-load-metrics"


class ReportLoad:
    """Counts the requests in flight and tells them, with the meter's figures, at the start of every answer.

    The count includes the answered request itself: its body is still to come. Belongs outside of whatever
    may answer, so that refusals count, too.
    """

    def __init__(self, app: App, meter: LoadMeter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        meter = self._meter
        failed = True  # until an answer says otherwise

        async def send_with_load(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = message["status"] >= 500
                message["headers"] = [*message["headers"], (_HEADER, meter.header())]
            await send(message)

        meter.began()
        try:
            await self._app(scope, receive, send_with_load)
        except BaseException:
            failed = True
            raise
        finally:
            meter.ended(failed)
