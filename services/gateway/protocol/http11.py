"""uvicorn's HTTP/1.1 protocol, with errors in the shape that all our errors have."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.gateway.request_ids import uuid7
from shared.problems import Problem, problem_response_parts


class GatewayProtocol(HttpToolsProtocol):
    """Answers bytes that are no HTTP request with a problem document and closes.

    `send_400_response` belongs to uvicorn's inside; a test of the real process holds us to it.
    """

    def send_400_response(self, msg: str) -> None:
        request_id = str(uuid7())
        problem = Problem(400, "malformed_request", "Malformed request", msg, headers={"Connection": "close"})
        status, headers, body = problem_response_parts(problem, request_id=request_id, instance="")
        headers.append((b"x-request-id", request_id.encode("ascii")))
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()
