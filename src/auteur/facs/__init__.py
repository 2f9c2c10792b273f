"""Action Units in one place: definitions, names, and the channels of each convention."""

from auteur.facs.action_units import (
    ACTION_UNITS,
    CONTROLS,
    UNSHOWN_UNITS,
    ActionUnit,
)
from auteur.facs.controls import Control, resolve
from auteur.facs.conventions import (
    CONVENTIONS,
    MEDIAPIPE_BLENDSHAPES,
    Channel,
    Convention,
    au_track,
    find_convention,
)
from auteur.facs.conversion import (
    SUBSTITUTES,
    Lossiness,
    convert,
    dropped_channels,
    encode_controls,
    lossiness,
    mirror,
    mirrored_name,
)
from auteur.facs.listing import ListedControl, listed_controls
from auteur.facs.postures import POSTURES, Posture
from auteur.facs.prototypes import (
    ANTAGONISTS,
    EMOTION_ALIASES,
    EMOTIONS,
    PROTOTYPE_SOURCES,
    PROTOTYPES,
    SHOWN_TABLE,
    find_emotion,
    prototype,
)

__all__ = [
    "ACTION_UNITS",
    "ANTAGONISTS",
    "CONTROLS",
    "CONVENTIONS",
    "EMOTIONS",
    "EMOTION_ALIASES",
    "MEDIAPIPE_BLENDSHAPES",
    "POSTURES",
    "PROTOTYPES",
    "PROTOTYPE_SOURCES",
    "SHOWN_TABLE",
    "SUBSTITUTES",
    "UNSHOWN_UNITS",
    "ActionUnit",
    "Channel",
    "Control",
    "Convention",
    "ListedControl",
    "Lossiness",
    "Posture",
    "au_track",
    "convert",
    "dropped_channels",
    "encode_controls",
    "find_convention",
    "find_emotion",
    "listed_controls",
    "lossiness",
    "mirror",
    "mirrored_name",
    "prototype",
    "resolve",
]
