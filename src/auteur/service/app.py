"""The service over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from auteur import __version__
from auteur.service import calls, uploads, videos
from auteur.service.access import Access
from auteur.service.documentation import documentation_page, openapi_of
from auteur.service.limits import ServiceSettings
from auteur.service.problems import CallError, problem_of
from auteur.service.service import Service

_CODE_OF_STATUS = {404: "not_found", 405: "bad_request", 413: "too_large"}


def make_app(settings: ServiceSettings) -> Callable[..., Any]:
    """Returns the ASGI application of a service; its lifespan starts and stops the processes."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.stop()

    app = FastAPI(
        title="Auteur",
        version=__version__,
        summary="Direct a face: portrait + speech + performance → talking video.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.service = service
    for router in (calls.router, uploads.router, videos.router):
        app.include_router(router)
    _add_pages(app, service)
    app.add_exception_handler(CallError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_error)
    return Access(app, settings)


def _add_pages(app: FastAPI, service: Service) -> None:
    bundle = Path(__file__).parents[1] / "studio" / "static"

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        index = bundle / "index.html"
        if index.is_file():
            return FileResponse(index, media_type="text/html", headers={"Cache-Control": "no-cache"})
        return RedirectResponse("/docs")

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(openapi_of(app, service.about()["schema"]))

    @app.get("/docs", include_in_schema=False)
    def documentation() -> HTMLResponse:
        return HTMLResponse(documentation_page(openapi_of(app, service.about()["schema"])))

    if bundle.is_dir():
        app.mount("/static", StaticFiles(directory=bundle), name="static")


def _answer(problem: CallError) -> JSONResponse:
    headers = {"Retry-After": "30"} if problem.code == "queue_full" else None
    return JSONResponse(problem.to_json(), status_code=problem.status, headers=headers)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    return _answer(problem_of(error))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = _CODE_OF_STATUS.get(error.status_code, "bad_request")
    body = CallError(code, str(error.detail)).to_json()
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    return _answer(problem_of(error))
