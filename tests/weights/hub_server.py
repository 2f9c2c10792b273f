"""As much of the Hub's HTTP interface as a push and a fetch use, on this computer, over real sockets."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Contents of the server and its requests."""

    address: str
    token: str
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Repository -> path -> content."""
    private: dict[str, bool] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._answer({"error": "no such token"}, 401)
            return
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            repo = json.loads(content)
            name = f"{repo['organization']}/{repo['name']}" if repo.get("organization") else repo["name"]
            self.hub.files.setdefault(name, {})
            self.hub.private[name] = repo.get("private") or repo.get("visibility") == "private"
            self._answer({"url": f"{self.hub.address}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(content)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in path:
            name = path.removeprefix("/api/models/").split("/commit/")[0]
            for line in content.splitlines():
                each = json.loads(line)
                if each["key"] == "file":
                    value = each["value"]
                    self.hub.files[name][value["path"]] = base64.b64decode(value["content"])
            url = f"{self.hub.address}/{name}/commit/{COMMIT}"
            self._answer({"commitOid": COMMIT, "commitUrl": url, "success": True})
        else:
            self._unknown()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for name, files in self.hub.files.items():
            listed = [
                {"type": "file", "path": each, "size": len(held), "oid": "0"} for each, held in files.items()
            ]
            if path.startswith(f"/api/models/{name}/tree/"):
                self._answer(listed)
            elif path == f"/api/models/{name}" or path.startswith(f"/api/models/{name}/revision/"):
                siblings = [{"rfilename": each["path"]} for each in listed]
                self._answer({"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings})
            elif path.startswith(f"/{name}/resolve/"):
                self._send_file(files, path.split("/", 5)[5])
            else:
                continue
            return
        self._unknown()

    def _send_file(self, files: dict[str, bytes], name: str) -> None:
        content = files[name]
        self.hub.fetched.append(name)
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self._finish(content)

    def _unknown(self) -> None:
        self.hub.unknown.append(f"{self.command} {self.path}")
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self._finish(b'{"error": "not found"}')

    def _answer(self, value: Any, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self._finish(json.dumps(value).encode())

    def _finish(self, content: bytes) -> None:
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def hub(token: str) -> Iterator[Hub]:
    """Yields a running server."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.hub = Hub(f"http://127.0.0.1:{server.server_port}", token)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield handler.hub
        finally:
            server.shutdown()
            thread.join()
