"""The live page and the metrics, over HTTP on this machine's loopback. Reads run folders, only.

There is no login: who can open a connection on this machine may look. So it listens on 127.0.0.1
alone, and a request must name this machine as its host: a page elsewhere that rebinds its own name
to 127.0.0.1 in somebody's browser (DNS rebinding) is refused.
"""

import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from irene_model.errors import ConfigError
from irene_model.operations import running
from irene_model.pages import look
from server.watch.live_page import render_live, render_page
from server.watch.prometheus import MEDIA_TYPE, exposition
from server.watch.run_progress import RunProgress, enrolled_names, read_progress, run_folders

HOST = "127.0.0.1"
_NAMES = ["127.0.0.1", "localhost"]
_LOG_BYTES, _LOG_LINES = 24_000, 80
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HERE = Path(__file__).parent
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # a terminal's


def serve(place: Path, port: int) -> None:
    """Serve the page of `place` on 127.0.0.1:port until a signal ends it.

    place: a coordinator's folder, a folder of runs, or a run. It may still be empty.
    """
    import uvicorn

    if not place.is_dir():
        raise ConfigError(f"{place}: no such folder; name the coordinator's folder or a run's")
    uvicorn.run(
        web_app(place), host=HOST, port=port, log_level="warning", access_log=False, ws="none"
    )


def web_app(place: Path) -> FastAPI:
    """The application; every answer is made from what lies in `place` at that moment."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_NAMES, www_redirect=False)

    @app.middleware("http")
    async def _guard(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await answer(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/", response_class=HTMLResponse)
    def page(run: str | None = None) -> str:
        runs = _runs(place)
        shown = _chosen(runs, run)
        return render_page(shown, runs, log_end(place, shown))

    @app.get("/live", response_class=HTMLResponse)
    def live(run: str | None = None) -> str:
        shown = _chosen(_runs(place), run)
        return render_live(shown, log_end(place, shown))

    @app.get("/report")
    def report(run: str) -> FileResponse:
        shown = _chosen(_runs(place), run)
        if shown is None or not (shown.folder / "report.html").is_file():
            raise HTTPException(404, "the run has no report yet")
        # The report brings its style in itself, and asks for nothing else.
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        return FileResponse(
            shown.folder / "report.html", headers={"Content-Security-Policy": policy}
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        runs = _runs(place)
        shown = [run for run in runs if run.active] or runs[:1]
        return PlainTextResponse(exposition(shown, running(place / "state")), media_type=MEDIA_TYPE)

    @app.get("/live.css")
    def style() -> Response:
        own = (_HERE / "live.css").read_text(encoding="utf-8")
        return Response(look() + own, media_type="text/css")

    @app.get("/live.js")
    def script() -> FileResponse:
        return FileResponse(_HERE / "live.js", media_type="text/javascript")

    return app


def log_end(place: Path, run: RunProgress | None) -> str:
    """The last lines of the run's own log, or else of the process that runs the server's app."""
    logs = [place / "logs" / "superexec.log"]
    if run is not None:
        logs.insert(0, run.folder / "run.log")
    for log in logs:
        try:
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - _LOG_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            continue
        if text.strip():
            return "\n".join(_COLOUR.sub("", text).splitlines()[-_LOG_LINES:])
    return ""


def _runs(place: Path) -> list[RunProgress]:
    """All runs, the newest first; those at work also name who is enrolled and never came."""
    now, enrolled = datetime.now(UTC), enrolled_names(place)
    return [read_progress(folder, now=now, expected=enrolled) for folder in run_folders(place)]


def _chosen(runs: Sequence[RunProgress], name: str | None) -> RunProgress | None:
    """The run called `name`, or else the newest; names are compared and never become paths."""
    if name is None:
        return runs[0] if runs else None
    for run in runs:
        if run.name == name:
            return run
    raise HTTPException(404, "no such run")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
