"""Who may call: names of this host, pages of our own, the token; and the largest body, before it is read."""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

from auteur.service.limits import LOOPBACK, ServiceSettings
from auteur.service.problems import CallError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "auteur_token"
_UPLOADS = ("/v1/uploads", "/v1/videos")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
        b"style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        b"form-action 'self'; frame-ancestors 'none'",
    ),
)


class Access:
    """ASGI middleware in front of everything.

    Args:
        app: What answers.
        settings: Host, names, token and limits.
    """

    def __init__(self, app: App, settings: ServiceSettings) -> None:
        self._app, self._settings = app, settings
        self._hosts = {*LOOPBACK, "[::1]"} if settings.is_loopback else {settings.host}
        self._hosts |= {name.lower() for name in settings.names}
        self._any_host = not settings.is_loopback and not settings.names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on with a limit on the body."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope)
        counted = _Counted(receive, self._most_bytes(request))
        sealed = _with_headers(send)
        try:
            self._check(request)
            counted.check_length(request.headers.get("content-length"))
        except CallError as problem:
            await _refuse(problem, sealed)
            return
        if self._settings.token is not None and "token" in request.query_params:
            await self._set_cookie(request, sealed)
            return
        await self._app(scope, counted, sealed)

    def _most_bytes(self, request: Request) -> int:
        limits = self._settings.limits
        is_json = request.headers.get("content-type", "").startswith("application/json")
        is_upload = request.url.path.rstrip("/") in _UPLOADS and not is_json
        return limits.upload_bytes if is_upload else limits.json_bytes

    def _check(self, request: Request) -> None:
        host = request.headers.get("host", "")
        if not self._any_host and _name_of(host) not in self._hosts:
            raise CallError("bad_host", "the service has no such name; start it with --name to give it one")
        origin = request.headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise CallError("bad_origin", "a page of another site called; only the service's own page may")
        is_foreign = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_foreign and (request.method not in _SAFE_METHODS or request.url.path.startswith("/v1")):
            raise CallError("bad_origin", "a page of another site called; only the service's own page may")
        token = self._settings.token
        if token is not None and not any(_same(token, shown) for shown in _shown(request)):
            raise CallError("no_token", "the token is missing or wrong; send it as Authorization: Bearer …")

    async def _set_cookie(self, request: Request, send: Send) -> None:
        """Turns the token of the address into a cookie, so that it stays out of the history and of logs."""
        value = f"{COOKIE}={request.query_params['token']}; HttpOnly; SameSite=Strict; Path=/"
        start = {
            "type": "http.response.start",
            "status": 303,
            "headers": [(b"location", b"/"), (b"set-cookie", value.encode("latin-1"))],
        }
        await send(start)
        await send({"type": "http.response.body", "body": b""})


class _Counted:
    """A body that ends with an error where it grows too long."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._seen = receive, most, 0

    def check_length(self, stated: str | None) -> None:
        if stated is not None and stated.isascii() and stated.isdigit() and int(stated[:20]) > self._most:
            raise self._problem()

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            raise self._problem()
        return message

    def _problem(self) -> CallError:
        return CallError("too_large", f"the body is larger than {self._most / 1e6:g} MB")


def _name_of(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def _shown(request: Request) -> list[str]:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    shown = [value] if kind.lower() == "bearer" else []
    return [*shown, request.cookies.get(COOKIE, ""), request.query_params.get("token", "")]


def _same(token: str, shown: str) -> bool:
    return hmac.compare_digest(token.encode(), shown.encode("utf-8", "replace"))


def _with_headers(send: Send) -> Send:
    async def sealed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return sealed


async def _refuse(problem: CallError, send: Send) -> None:
    body = json.dumps(problem.to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
