"""The interactive documentation, with its scripts served from here: the suite needs no internet."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

_ADD_SLASH = (
    "<!doctype html><title>API documentation</title>"
    "<script>location.replace(location.pathname + '/' + location.search)</script>"
    "<p>The documentation is at this address with a slash at its end.</p>"
)


def add_docs(app: FastAPI) -> None:
    """`/docs/` for people. Its links are relative, so that it works under whatever prefix a gateway serves it."""
    assets = str(files("fastapi_offline") / "static")
    app.mount("/docs/assets", StaticFiles(directory=assets), name="assets")

    @app.get("/docs", include_in_schema=False)
    async def docs_without_slash(_request: Request) -> HTMLResponse:
        # Only the browser knows under which path a gateway shows this page, so it adds the slash itself.
        return HTMLResponse(_ADD_SLASH)

    @app.get("/docs/", include_in_schema=False)
    async def docs(_request: Request) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="assets/swagger-ui-bundle.js",
            swagger_css_url="assets/swagger-ui.css",
            swagger_favicon_url="assets/favicon.png",
        )

    @app.get("/docs/openapi.json", include_in_schema=False)
    async def document(_request: Request) -> JSONResponse:
        return JSONResponse(app.openapi())
