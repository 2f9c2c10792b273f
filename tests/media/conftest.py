"""Fixtures of the media tests."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from auteur.provenance import Mark


@pytest.fixture
def mark() -> Mark:
    return Mark(models={"motion": "1.2"}, inputs={"speech": "ab" * 32}, settings={"steps": 4}, seed=7)


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """(address of a file on a local web server, the requests that it received)."""
    received: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/clip.mp4", received
    server.shutdown()
    server.server_close()
