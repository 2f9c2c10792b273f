"""Meaning of the numbers of each Action Unit convention: one row per channel.

A channel names the controls ("AU12L") that it measures. This one table carries every conversion in both
directions: see `auteur.facs.conversion` for the rule.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from auteur.errors import UsageError
from auteur.facs.action_units import ACTION_UNITS, CONTROLS
from auteur.signals import AUTrack, Seconds
from auteur.signals.timebase import exact_rate, exact_seconds

Unit = Literal["intensity", "presence", "probability"]
"""Kind of a channel's number: an intensity, a presence (0 or 1), or a detector's probability."""


@dataclass(frozen=True)
class Channel:
    """One column of a convention."""

    name: str
    """Column name."""
    controls: tuple[str, ...]
    """Controls it measures; empty where FACS has no such movement."""
    full: float = 1.0
    """Its value when those controls are at intensity 1."""
    unit: Unit = "intensity"
    """Kind of its number."""


@dataclass(frozen=True)
class Convention:
    """A set of channels and the meaning of their numbers."""

    name: str
    """Name that tracks carry."""
    entries: tuple[Channel, ...]
    """Channels in their fixed order."""
    maximum: float
    """Largest value; the smallest is 0."""
    description: str
    """Whose convention it is and where it is defined."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in their fixed order."""
        return tuple(entry.name for entry in self.entries)


def _bilateral(number: int) -> tuple[str, ...]:
    return ACTION_UNITS[number].controls


def _both_eyes(side: str) -> tuple[str, str]:
    return (f"AU45{side}", f"AU43{side}")


_FEAFA24 = (
    Channel("eye_close_left", _both_eyes("L")),
    Channel("eye_close_right", _both_eyes("R")),
    Channel("lid_raise_left", ("AU5L",)),
    Channel("lid_raise_right", ("AU5R",)),
    Channel("brow_lower_left", ("AU4L",)),
    Channel("brow_lower_right", ("AU4R",)),
    Channel("brow_raise_left", ("AU1L", "AU2L")),
    Channel("brow_raise_right", ("AU1R", "AU2R")),
    Channel("jaw_open", ("AU26",)),
    Channel("jaw_slide_left", ("AU30L",)),
    Channel("jaw_slide_right", ("AU30R",)),
    Channel("lip_corner_pull_left", ("AU12L",)),
    Channel("lip_corner_pull_right", ("AU12R",)),
    Channel("lip_corner_stretch_left", ("AU20L",)),
    Channel("lip_corner_stretch_right", ("AU20R",)),
    Channel("upper_lip_suck", ("AU28T",)),
    Channel("lower_lip_suck", ("AU28B",)),
    Channel("jaw_thrust", ("AU29",)),
    Channel("upper_lip_raise", _bilateral(10)),
    Channel("lower_lip_depress", _bilateral(16)),
    Channel("chin_raise", ("AU17",)),
    Channel("lip_pucker", ("AU18",)),
    Channel("cheek_puff", ("AU34",)),
    Channel("nose_wrinkle", _bilateral(9)),
)

OPENFACE_NUMBERS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""Units of which OpenFace gives an intensity."""
_OPENFACE17 = tuple(Channel(f"AU{n:02d}_r", _bilateral(n), full=5.0) for n in OPENFACE_NUMBERS)
_OPENFACE18 = (*_OPENFACE17, Channel("AU28_c", _bilateral(28), unit="presence"))

_PYFEAT_NUMBERS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
_PYFEAT20 = tuple(Channel(f"AU{n:02d}", _bilateral(n), unit="probability") for n in _PYFEAT_NUMBERS)

_ARKIT52 = (
    Channel("tongueOut", ("AU19",)),
    Channel("browDownLeft", ("AU4L",)),
    Channel("browDownRight", ("AU4R",)),
    Channel("browInnerUp", _bilateral(1)),
    Channel("browOuterUpLeft", ("AU2L",)),
    Channel("browOuterUpRight", ("AU2R",)),
    Channel("cheekPuff", ("AU34",)),
    Channel("cheekSquintLeft", ("AU6L",)),
    Channel("cheekSquintRight", ("AU6R",)),
    Channel("eyeBlinkLeft", _both_eyes("L")),
    Channel("eyeBlinkRight", _both_eyes("R")),
    Channel("eyeLookDownLeft", ("AU64L",)),
    Channel("eyeLookDownRight", ("AU64R",)),
    Channel("eyeLookInLeft", ("AU62L",)),
    Channel("eyeLookInRight", ("AU61R",)),
    Channel("eyeLookOutLeft", ("AU61L",)),
    Channel("eyeLookOutRight", ("AU62R",)),
    Channel("eyeLookUpLeft", ("AU63L",)),
    Channel("eyeLookUpRight", ("AU63R",)),
    Channel("eyeSquintLeft", ("AU7L",)),
    Channel("eyeSquintRight", ("AU7R",)),
    Channel("eyeWideLeft", ("AU5L",)),
    Channel("eyeWideRight", ("AU5R",)),
    Channel("jawForward", ("AU29",)),
    Channel("jawLeft", ("AU30L",)),
    Channel("jawOpen", ("AU26",)),
    Channel("jawRight", ("AU30R",)),
    Channel("mouthClose", ("AU8",)),
    Channel("mouthDimpleLeft", ("AU14L",)),
    Channel("mouthDimpleRight", ("AU14R",)),
    Channel("mouthFrownLeft", ("AU15L",)),
    Channel("mouthFrownRight", ("AU15R",)),
    Channel("mouthFunnel", ("AU22",)),
    Channel("mouthLeft", ()),
    Channel("mouthLowerDownLeft", ("AU16L",)),
    Channel("mouthLowerDownRight", ("AU16R",)),
    Channel("mouthPressLeft", ("AU24L",)),
    Channel("mouthPressRight", ("AU24R",)),
    Channel("mouthPucker", ("AU18",)),
    Channel("mouthRight", ()),
    Channel("mouthRollLower", ("AU28B",)),
    Channel("mouthRollUpper", ("AU28T",)),
    Channel("mouthShrugLower", ("AU17",)),
    Channel("mouthShrugUpper", ()),
    Channel("mouthSmileLeft", ("AU12L",)),
    Channel("mouthSmileRight", ("AU12R",)),
    Channel("mouthStretchLeft", ("AU20L",)),
    Channel("mouthStretchRight", ("AU20R",)),
    Channel("mouthUpperUpLeft", ("AU10L",)),
    Channel("mouthUpperUpRight", ("AU10R",)),
    Channel("noseSneerLeft", ("AU9L",)),
    Channel("noseSneerRight", ("AU9R",)),
)

CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "feafa24",
            _FEAFA24,
            1.0,
            "24 redefined Action Units of FEAFA+ (Gan et al., arXiv 2111.02751), intensity 0 to 1, "
            "the order of AUHead",
        ),
        Convention(
            "openface17",
            _OPENFACE17,
            5.0,
            "17 intensities of OpenFace 2 (Baltrusaitis et al., FG 2018), 0 to 5, both sides together",
        ),
        Convention(
            "openface18",
            _OPENFACE18,
            5.0,
            "openface17 and the presence (0 or 1) of AU28, the condition of Chang et al., arXiv 2509.19749",
        ),
        Convention(
            "arkit52",
            _ARKIT52,
            1.0,
            "the 52 blend shapes of Apple's ARKit, 0 to 1. Entries 1 to 51 are MediaPipe's outputs "
            "1 to 51; entry 0 is tongueOut, which MediaPipe lacks, in place of its _neutral, which "
            "ARKit lacks",
        ),
        Convention(
            "pyfeat20",
            _PYFEAT20,
            1.0,
            "20 detection probabilities of py-feat (Cheong et al., 2023), 0 to 1: how sure, not how strong",
        ),
        Convention(
            "facs",
            tuple(Channel(control, (control,)) for control in CONTROLS),
            1.0,
            "Auteur's own hub: every Action Unit and side on its own, intensity 0 to 1",
        ),
    )
}
"""Every convention by name."""

MEDIAPIPE_BLENDSHAPES: tuple[str, ...] = ("_neutral", *CONVENTIONS["arkit52"].channels[1:])
"""Names of MediaPipe's 52 blend-shape outputs in their order."""


def find_convention(name: str) -> Convention:
    """The convention called `name`.

    Raises:
        UsageError: There is none.
    """
    if name not in CONVENTIONS:
        raise UsageError(f"unknown AU convention {name!r}; choose one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def au_track(values: ArrayLike, *, convention: str, rate: Fraction | int, start_sec: Seconds = 0) -> AUTrack:
    """An `AUTrack` with all channels of a convention, from `values` [T, channels].

    Raises:
        UsageError: The convention is unknown or the values do not fit it.
    """
    return AUTrack(
        values=np.asarray(values, dtype=np.float32),
        rate=exact_rate(rate),
        start_sec=exact_seconds(start_sec, "start_sec"),
        channels=find_convention(convention).channels,
        convention=convention,
    )
