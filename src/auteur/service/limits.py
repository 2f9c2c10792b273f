"""What one service allows, and where it keeps things."""

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from auteur.errors import UsageError
from auteur.provenance import MOST_CHARACTERS, Signing

MEGABYTE = 1_000_000
GIGABYTE = 1000 * MEGABYTE

SHORTEST_TOKEN = 16
LOOPBACK = ("127.0.0.1", "::1", "localhost")

PRESETS = ("compact", "fast", "warp")
"""Shipped presets that a request can name, besides the service's own."""
FORMATS = ("mp4", "webm", "mov", "gif")
"""Kinds of video that a request can name; the first unless named."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of requests."""

    upload_bytes: int = 200 * MEGABYTE
    """Of one upload, and of one multipart body."""
    json_bytes: int = 4 * MEGABYTE
    queued_jobs: int = 100
    speech_sec: float = 600.0
    disk_bytes: int = 20 * GIGABYTE
    """Of all uploads and results together."""
    keep_sec: float = 86_400.0
    """How long results and unused uploads are kept."""
    text_characters: int = 2000
    consent_characters: int = MOST_CHARACTERS
    idle_sec: float = 600.0
    """How long a process with loaded models waits for work before it ends."""
    call_sec: float = 900.0
    """Of work that a call waits for."""
    job_sec: float = 14_400.0
    """Of work for one video."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise UsageError(f"{name} is {value}; it must be above 0")

    def to_json(self) -> dict[str, Any]:
        """The limits for a client."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """How a service is run."""

    folder: Path
    """Where uploads and results lie; of one service at a time."""
    host: str = "127.0.0.1"
    port: int = 7860
    token: str | None = None
    """What clients have to show; None: nothing, on the loopback alone."""
    names: tuple[str, ...] = ()
    """Names, besides the address, under which clients reach the service."""
    preset: str = "compact"
    """Of jobs that name none."""
    device: str | None = None
    workers: int = 1
    """Processes that render, each one video at a time."""
    signing: Signing | None = None
    """Certificate and key under which videos are signed."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"the port is {self.port}; it must be between 0 and 65535")
        if not 1 <= self.workers <= 64:
            raise UsageError(f"workers is {self.workers}; it must be between 1 and 64")
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise UsageError(
                f"the token has {len(self.token)} characters; it needs {SHORTEST_TOKEN} or more, such as the "
                "output of: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        if self.token is not None and not all(one.isalnum() or one in "-_.~+/=" for one in self.token):
            raise UsageError("the token may hold letters, digits and -_.~+/= only; choose another")
        if not self.is_loopback and self.token is None:
            raise UsageError(
                f"the service would answer everybody who reaches {self.host}: set the variable "
                f"AUTEUR_TOKEN to a secret of {SHORTEST_TOKEN} characters or more, or leave out --host"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the service."""
        return self.host in LOOPBACK


def default_folder() -> Path:
    """Returns the folder of a service that is given none: in the user's cache."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "auteur" / "service"
