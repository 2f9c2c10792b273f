"""Stage "filter": reasons to reject a stretch. A filter returns a sentence, or None to accept."""

from collections.abc import Callable
from dataclasses import dataclass

from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.options import RATE, PrepareOptions
from auteur.lab.prepare.sound import SILENT_DB, ClipSound

REASONS: dict[str, str] = {
    "no_face": "no face that can be measured",
    "too_short": "too short",
    "several_people": "another face about as large in the picture",
    "too_small": "face too small",
    "no_sound": "no sound",
    "silent": "nothing loud enough to be speech",
    "out_of_sync": "sound too far from the lips",
    "other_voice": "the lips do not follow the sound",
    "unreadable": "could not be read or measured",
}
"""Every reason by its name in `rejected.jsonl`. The last one is a failure, the others are filters."""

FAILED = "unreadable"

MOST_COMPANY = 0.2
"""Largest share of searches that may find another face."""

LONG_ENOUGH_TO_JUDGE_SEC = 8
"""Length in seconds from which lips that agree at no offset count as those of another voice."""


@dataclass(frozen=True)
class Rejection:
    """A clip, or a whole recording, that is not in the shards."""

    key: str
    reason: str
    """One of `REASONS`."""
    detail: str


def too_short(clip: Clip, options: PrepareOptions) -> str | None:
    """Rejects clips with too few frames."""
    seconds = float(clip.frames / RATE)
    if seconds >= options.least_seconds or clip.recording.medium == "picture":
        return None
    return f"{seconds:.2f} s; at least {options.least_seconds:g} s are needed"


def several_people(clip: Clip, options: PrepareOptions) -> str | None:
    """Rejects clips with another face about as large."""
    if clip.company <= MOST_COMPANY:
        return None
    return f"another face in {clip.company:.0%} of the searches; at most {MOST_COMPANY:.0%} are accepted"


def too_small(clip: Clip, options: PrepareOptions) -> str | None:
    """Rejects faces of too few pixels."""
    if clip.face_px >= options.least_face_px:
        return None
    return f"the face is {clip.face_px:.0f} px large; at least {options.least_face_px} px are needed"


def silent(clip: Clip, sound: ClipSound, options: PrepareOptions) -> str | None:
    """Rejects clips without speech."""
    if options.keep_silent or not sound.is_silent:
        return None
    return f"the loudest tenth is below {SILENT_DB:g} dB of full scale"


def out_of_sync(clip: Clip, sound: ClipSound, options: PrepareOptions) -> str | None:
    """Rejects clips whose accepted offset of sound and lips is too large."""
    found = sound.agreement
    if found is None or not found.is_believed or abs(found.offset_frames) <= options.most_offset_frames:
        return None
    milliseconds = 1000 * found.offset_frames / float(RATE)
    return (
        f"the picture is {milliseconds:+.0f} ms behind the sound (agreement {found.correlation:.2f}); at "
        f"most {options.most_offset_frames} frames are accepted"
    )


def other_voice(clip: Clip, sound: ClipSound, options: PrepareOptions) -> str | None:
    """Rejects clips of sufficient length whose lips agree with the sound at no offset."""
    found = sound.agreement
    if found is None or clip.frames < LONG_ENOUGH_TO_JUDGE_SEC * RATE or sound.is_silent:
        return None
    if found.correlation >= options.least_agreement:
        return None
    return f"agreement {found.correlation:.2f} at best; at least {options.least_agreement:g} is needed"


PICTURE_FILTERS: tuple[Callable[[Clip, PrepareOptions], str | None], ...] = (
    too_short,
    several_people,
    too_small,
)
"""In this order; the first rejection counts. A filter's name is its reason."""

SOUND_FILTERS: tuple[Callable[[Clip, ClipSound, PrepareOptions], str | None], ...] = (
    silent,
    out_of_sync,
    other_voice,
)


def judge_picture(clip: Clip, options: PrepareOptions) -> Rejection | None:
    """Returns the first rejection by the pictures of a clip."""
    for rule in PICTURE_FILTERS:
        if (detail := rule(clip, options)) is not None:
            return Rejection(clip.key, rule.__name__, detail)
    return None


def judge_sound(clip: Clip, sound: ClipSound | None, options: PrepareOptions) -> Rejection | None:
    """Returns the first rejection by the sound of a clip."""
    if sound is None:
        may_be_silent = options.keep_silent or clip.recording.medium == "picture"
        return None if may_be_silent else Rejection(clip.key, "no_sound", "the recording has no sound")
    for rule in SOUND_FILTERS:
        if (detail := rule(clip, sound, options)) is not None:
            return Rejection(clip.key, rule.__name__, detail)
    return None
