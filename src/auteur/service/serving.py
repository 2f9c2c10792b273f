"""Binds the service to a port; the one place where a socket is opened, by uvicorn."""

import logging
from collections.abc import Callable
from typing import Any

from auteur.errors import InputError, UsageError
from auteur.files import held, make_folders
from auteur.service.limits import ServiceSettings

_GRACE_SEC = 3
_IPPROTO_TCP, _TCP_NODELAY = 6, 1
"""As in the module socket, which nothing here imports; the same numbers on every system."""


def serve(settings: ServiceSettings, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until it is interrupted.

    Args:
        settings: How.
        on_ready: Called with the address once the port is ours.

    Raises:
        UsageError: The extra "studio" is not installed, or the address is not one of this machine.
        InputError: The port or the folder is in use by another service, or cannot be used.
    """
    try:
        import uvicorn

        from auteur.service.app import make_app
    except ImportError as error:
        raise UsageError(f"the service needs {error.name}: pip install 'auteur-face[studio]'") from error
    make_folders(settings.folder)
    config = uvicorn.Config(
        _later(settings, make_app),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SEC,
        factory=True,
        lifespan="on",
    )
    bound = _bound(config, settings)
    try:
        port = bound.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        busy = (
            f"another service uses the folder {str(settings.folder)!r}; stop it, or "
            "name another with --folder"
        )
        with held(settings.folder / "service.lock", busy):
            if on_ready is not None:
                on_ready(f"http://{host}:{port}/")
            uvicorn.Server(config).run(sockets=[bound])
    finally:
        bound.close()


def _later(settings: ServiceSettings, make: Callable[[ServiceSettings], Any]) -> Callable[[], Any]:
    return lambda: make(settings)


def _bound(config: Any, settings: ServiceSettings) -> Any:
    """The bound socket; uvicorn would log why there is none and leave."""
    causes: list[OSError] = []
    handler = logging.Handler()
    handler.emit = lambda record: causes.append(record.msg) if isinstance(record.msg, OSError) else None
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    was_passed_on, logger.propagate = logger.propagate, False
    try:
        bound = config.bind_socket()
        # At once: two sockets can be bound to one port as long as neither listens.
        bound.listen(config.backlog)
        # asyncio leaves it out for sockets of its caller; without it each answer waits 40 ms for an
        # acknowledgement. Connections take it over from the listening socket.
        bound.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        return bound
    except (SystemExit, OSError) as stop:
        causes += [stop] if isinstance(stop, OSError) else []
        cause = causes[0].strerror if causes else "the address cannot be used"
        raise InputError(
            f"cannot serve on {settings.host} port {settings.port}: {cause}; is auteur running there? Choose "
            "another with --port"
        ) from stop
    finally:
        logger.removeHandler(handler)
        logger.propagate = was_passed_on
