"""What a corpus is made of: videos, sound alone or single pictures."""

from typing import Literal

Medium = Literal["video", "sound", "picture"]

PLAIN_KINDS: dict[str, Medium] = {"folder": "video", "speech": "sound", "photos": "picture"}
"""Kinds that any folder of such files is; a corpus of these is known by the name of its folder."""

HOLDING: dict[str, str] = {
    "video": "videos",
    "sound": "speech without pictures",
    "picture": "photographs",
}


def medium_of_kind(kind: str) -> Medium:
    """Returns the medium of a kind of corpus; all but two hold videos."""
    return PLAIN_KINDS.get(kind, "video")
