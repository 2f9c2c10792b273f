"""What the parts of a protocol that makes its own videos share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auteur.evaluate.protocols import Protocol
from auteur.face.backend import FaceBackend
from auteur.talking_head.talking_head import TalkingHead

Step = Callable[[], None] | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One protocol under way."""

    protocol: Protocol
    head: TalkingHead
    backend: FaceBackend
    videos: Path
    """Where generated videos are kept."""
    overwrite: bool
    on_frame: Step

    def step(self, _: int = 0) -> None:
        """Counts a frame."""
        if self.on_frame is not None:
            self.on_frame()
