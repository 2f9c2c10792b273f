"""The JSON schema of a body, made of the table that reads jobs files: one list of keys for both."""

from typing import Any

from auteur.batch.jobs import kinds_of_keys
from auteur.provenance.consent import MOST_CHARACTERS, NOTE
from auteur.service.limits import FORMATS, PRESETS

_IDENTITY = {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "id of an upload"}
_KEYFRAMES = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
}

_BY_KIND: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "file": _IDENTITY,
    "number": {"type": "number"},
    "whole": {"type": "integer"},
    "truth": {"type": "boolean"},
    "rate": {"type": ["number", "string"], "examples": [25, "30000/1001"]},
    "curve": {"type": "string", "examples": ["0s neutral, 2s happy:0.8"]},
    "intensities": {
        "type": "object",
        "additionalProperties": {"type": "number"},
        "examples": [{"AU12": 0.6}],
    },
    "names": {"type": "array", "items": {"type": "string"}, "examples": [["AU4"]]},
    "curves": {
        "type": "object",
        "additionalProperties": _KEYFRAMES,
        "examples": [{"AU12": [[0, 0], [1.2, 0.8]]}],
    },
    "head_curves": {
        "type": "object",
        "properties": dict.fromkeys(("pitch", "yaw", "roll"), _KEYFRAMES),
        "additionalProperties": False,
        "examples": [{"yaw": [[0, 0], [1, 12]]}],
    },
}

_OWN: dict[str, dict[str, Any]] = {
    "track": {"oneOf": [_IDENTITY, {"type": "object", "description": "a track of our JSON"}]},
    "head_track": {"oneOf": [_IDENTITY, {"enum": ["track", "none"]}]},
    "gaze_track": {"oneOf": [_IDENTITY, {"enum": ["track", "none"]}]},
    "background": {"type": "string", "description": "none, a colour, or the id of a picture"},
    "lips": {"enum": ["speech", "track", "both"]},
    "preset": {"enum": list(PRESETS)},
    "format": {"enum": list(FORMATS), "default": FORMATS[0]},
    "consent": {"type": "string", "maxLength": MOST_CHARACTERS, "description": NOTE},
}


def body_schema() -> dict[str, Any]:
    """Returns the schema of the body of a job."""
    kinds = {key: kind for key, kind in kinds_of_keys().items() if key != "output"}
    properties = {key: _BY_KIND[kind] for key, kind in kinds.items()} | _OWN
    return {
        "type": "object",
        "properties": properties,
        "required": ["portrait"],
        "additionalProperties": False,
        "examples": [EXAMPLE],
    }


EXAMPLE: dict[str, Any] = {
    "portrait": "3f0c6f0d0c6b4c7f8a9b0c1d2e3f4a5b",
    "speech": "91be6f0d0c6b4c7f8a9b0c1d2e3f4a5b",
    "emotion_curve": "0s neutral, 2s happy:0.8",
    "curves": {"AU12": [[0, 0], [1.2, 0.8], [2.5, 0.1]]},
    "head_curves": {"yaw": [[0, 0], [1, 12]]},
    "seed": 7,
    "preset": "compact",
}
"""A body, for people to start from."""
