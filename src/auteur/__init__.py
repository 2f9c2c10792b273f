"""Auteur: direct a face. One portrait, one speech recording, a performance down to the single Action Unit.

Example:
    from auteur import TalkingHead

    head = TalkingHead.from_pretrained("compact")
    video = head("portrait.jpg", "speech.wav", emotion="happy", intensity=0.8, au={"AU1": 0.5})
    video.save("out.mp4")
    video.au_track.save("performance.csv")
    video.plot("performance.png")
"""

TYPE_CHECKING = False  # type checkers read it as true; importing it would be an import at the top

if TYPE_CHECKING:
    from auteur.talking_head.moving import move
    from auteur.talking_head.talking_head import Settings, TalkingHead

__version__ = "0.1.0"

__all__ = ["Settings", "TalkingHead", "__version__", "move"]

_HOMES = {
    "Settings": "auteur.talking_head.talking_head",
    "TalkingHead": "auteur.talking_head.talking_head",
    "move": "auteur.talking_head.moving",
}
"""Where each public name lives; imported when it is first used, since torch takes seconds (PEP 562)."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'auteur' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
