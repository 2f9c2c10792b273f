"""Emotion to Action Units: published combinations, with their sources.

Sources name the units only (EMFACS also some levels), so the apex levels below are ours: the intensity each
unit reaches when the emotion is at 1. Those of "emfacs" were set on generated portraits, by rules on an
independent tracker's readings (`benchmarks/emotion_rules.py`), by its readings of people who act, and by eye.
Not EMFACS's: contempt raises the chin (AU17) and lowers the other corner (AU15L), without which one raised
corner is half a smile.
"""

import difflib
from typing import Literal

from auteur.errors import UsageError
from auteur.facs.controls import resolve
from auteur.facs.conversion import encode_controls

PrototypeTable = Literal["chang2025", "emfacs"]

SHOWN_TABLE: PrototypeTable = "emfacs"
"""The table of `--emotion`: seven emotions that differ from each other. Paper C's has the same
units for several of them."""

EMOTIONS: tuple[str, ...] = ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt")
"""The eight emotion labels, MEAD's."""

EMOTION_ALIASES: dict[str, str] = {
    "calm": "neutral",
    "none": "neutral",
    "happiness": "happy",
    "joy": "happy",
    "joyful": "happy",
    "sadness": "sad",
    "anger": "angry",
    "mad": "angry",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "disgust": "disgusted",
    "surprise": "surprised",
    "contemptuous": "contempt",
}
"""Other words for them."""

PROTOTYPE_SOURCES: dict[PrototypeTable, str] = {
    "chang2025": "Chang, Xu, Le & Samaras, Talking Head Generation via AU-Guided Landmark Prediction, "
    "arXiv 2509.19749",
    "emfacs": "Friesen & Ekman, EMFACS-7: Emotional Facial Action Coding System, "
    "University of California, 1983",
}
"""Citation of each table."""

PROTOTYPES: dict[PrototypeTable, dict[str, dict[str, float]]] = {
    "chang2025": {
        "neutral": {},
        "happy": {"AU6": 0.7, "AU12": 0.8},
        "sad": {"AU4": 0.7, "AU7": 0.4, "AU15": 0.8},
        "angry": {"AU4": 0.9, "AU7": 0.7, "AU10": 0.5, "AU23": 0.7},
        "fear": {"AU2": 0.7, "AU4": 0.6, "AU5": 0.8, "AU7": 0.4, "AU26": 0.4},
        "disgusted": {"AU7": 0.6, "AU14": 0.5, "AU17": 0.7},
        "surprised": {"AU1": 0.8, "AU2": 0.8, "AU5": 0.7, "AU26": 0.5},
        "contempt": {"AU12": 0.4, "AU14": 0.7},
    },
    "emfacs": {
        "neutral": {},
        "happy": {"AU6": 0.8, "AU12": 1.0, "AU25": 0.4},
        "sad": {"AU1": 1.0, "AU4": 0.4, "AU15": 1.0, "AU17": 0.6},
        "angry": {"AU4": 1.0, "AU7": 1.0, "AU10": 0.15, "AU17": 0.35, "AU23": 0.65, "AU24": 0.55},
        "fear": {"AU1": 1.0, "AU2": 0.15, "AU4": 0.9, "AU5": 0.9, "AU7": 0.2, "AU20": 0.65, "AU25": 0.4},
        "disgusted": {"AU4": 0.4, "AU7": 0.4, "AU9": 0.9, "AU10": 0.45, "AU15": 0.2, "AU17": 0.25},
        "surprised": {"AU1": 0.9, "AU2": 0.9, "AU5": 0.85, "AU26": 0.65},
        "contempt": {"AU12R": 0.5, "AU14R": 1.0, "AU15L": 0.2, "AU17": 0.2},
    },
}
"""Intensity in [0, 1] of each control at the height of each emotion."""


ANTAGONISTS: tuple[tuple[int, int], ...] = ((12, 15), (5, 43), (24, 25), (24, 26), (18, 20), (20, 23))
"""Units whose muscles pull the same part of the face opposite ways: corners of the mouth up or down, lids
up or down, lips pressed or parted, rounded or stretched, tightened or stretched."""


def find_emotion(name: str) -> str:
    """Returns the one of `EMOTIONS` with this name or synonym, whatever its case.

    Raises:
        UsageError: None does; the message suggests the nearest.
    """
    key = name.strip().lower()
    emotion = EMOTION_ALIASES.get(key, key)
    if emotion not in EMOTIONS:
        near = difflib.get_close_matches(key, [*EMOTIONS, *EMOTION_ALIASES], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"unknown emotion {name!r}; {hint}choose one of {', '.join(EMOTIONS)}")
    return emotion


def prototype(
    emotion: str,
    intensity: float = 1.0,
    *,
    convention: str = "openface18",
    table: PrototypeTable = SHOWN_TABLE,
) -> dict[str, float]:
    """Value of every channel of `convention` for an emotion; 0 where it plays no part.

    Intensities scale linearly. Units that the convention cannot express are lost: `lossiness("facs",
    convention)`.

    Args:
        emotion: One of `EMOTIONS` or an alias.
        intensity: From 0 (neutral) to 1 (apex).
        convention: Convention of the result.
        table: "emfacs", which `--emotion` uses, or "chang2025" (paper C).

    Raises:
        UsageError: The emotion, convention or table is unknown, or the intensity is outside [0, 1].
    """
    if not 0 <= intensity <= 1:
        raise UsageError(f"intensity is {intensity}; it must be between 0 and 1")
    if table not in PROTOTYPES:
        raise UsageError(f"unknown prototype table {table!r}; choose one of {', '.join(PROTOTYPES)}")
    controls: dict[str, float] = {}
    for code, apex in PROTOTYPES[table][find_emotion(emotion)].items():
        controls |= dict.fromkeys(resolve(code).channels, apex * intensity)
    return encode_controls(controls, convention)
