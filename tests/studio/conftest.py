"""A service of its own, a browser, and small inputs: a photograph, a second of sound, a film of a face."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auteur.media import write_image
from auteur.provenance import Mark
from studio.browser import choose, tone

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
SERVE = """
import sys
from pathlib import Path
from auteur.service.limits import ServiceSettings
from auteur.service.serving import serve
if __name__ == "__main__":
    settings = ServiceSettings(folder=Path(sys.argv[1]), port=0, preset="warp")
    serve(settings, on_ready=lambda url: print(url, flush=True))
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def url(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service that lives as long as the tests."""
    for module in ("fastapi", "uvicorn", "sse_starlette", "multipart"):
        pytest.importorskip(module, reason="the extra 'studio' is not installed")
    folder = tmp_path_factory.mktemp("service")
    script = folder / "run_service.py"
    script.write_text(SERVE, encoding="utf-8")
    command = [sys.executable, str(script), str(folder / "files")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as service,
    ):
        assert service.stdout is not None
        address = service.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), "the service did not start"
        yield address
        service.terminate()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="session")
def portrait(astronaut: Any, inputs: Path) -> Path:
    """256 × 256 around the face."""
    path = inputs / "portrait.png"
    write_image(path, np.ascontiguousarray(astronaut[0:256, 96:352]), mark=Mark(watermark=False))
    return path


@pytest.fixture(scope="session")
def speech(inputs: Path) -> Path:
    """Two seconds."""
    return tone(2.0, inputs / "speech.wav")


@pytest.fixture
def visit(chromium: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Opens the page; afterwards holds that nothing else was ever requested and no script failed."""
    contexts, requested, failures = [], [], []

    def open_page(**options: Any) -> Any:
        settings = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **options}
        context = chromium.new_context(**settings)
        context.set_default_timeout(120_000)
        contexts.append(context)
        context.on("request", lambda request: requested.append(request.url))
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(url)
        page.wait_for_selector("[data-lane='emotion:happy']")
        return page

    yield open_page
    for context in contexts:
        context.close()
    outside = [one for one in requested if not one.startswith((url, "data:", f"blob:{url}"))]
    assert not outside, f"requested {outside}"
    assert not failures


@pytest.fixture
def studio(visit: Callable[..., Any], portrait: Path, speech: Path) -> Any:
    """The page with portrait and speech, as soon as it shows a preview."""
    page = visit()
    choose(page, "#drop-portrait", portrait)
    choose(page, "#drop-speech", speech)
    page.wait_for_selector("img.live[data-quality]:visible")
    return page


@pytest.fixture(scope="session")
def actor(film: Callable[..., Path]) -> Path:
    """A film of eight frames whose face drifts."""
    return film(8)
