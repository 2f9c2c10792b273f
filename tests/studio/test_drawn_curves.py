"""The studio draws the curves that are rendered: both sides are held to one file of numbers.

`python tests/studio/test_drawn_curves.py` writes the file; `studio/test/cubic.test.ts` compares the curves.
"""

import json
from pathlib import Path

import numpy as np

from auteur.expression.curve import NON_NEUTRAL_EMOTIONS, parse_curve
from auteur.expression.unit_curves import curve_at

NUMBERS = Path(__file__).parents[2] / "studio" / "test" / "curves.json"
FRAMES_PER_SEC = 25
SECONDS = 6
KEYFRAMES = {
    "one key": [[1, 0.4]],
    "rise and fall": [[0.2, 0], [1.2, 0.8], [2.5, 0.1], [4.1, 0.9], [5, 0.9]],
    "steps": [[0, 1], [0.04, 0], [3, 0], [3.04, 1], [3.08, 0.2]],
    "monotone": [[0.5, 0.05], [0.9, 0.1], [2.2, 0.75], [5.6, 1]],
    "degrees": [[0, -12.5], [1.35, 22], [2.7, -3], [4, 0], [5.5, 8.25]],
}
EMOTIONS = "0.4s neutral, 1s happy:0.3, 3s happy:1+surprised:0.2, 5s sad:0.4+fear:0.3"


def numbers() -> dict[str, object]:
    """Keyframes and the values that are rendered of them, at every frame."""
    times = np.arange(SECONDS * FRAMES_PER_SEC + 1) / FRAMES_PER_SEC
    emotions = parse_curve(EMOTIONS)
    strengths = emotions.at(times)
    return {
        "rate": FRAMES_PER_SEC,
        "curves": {
            name: {"keys": keys, "values": curve_at([(t, v) for t, v in keys], times).tolist()}
            for name, keys in KEYFRAMES.items()
        },
        "emotions": {
            "text": EMOTIONS,
            "keys": [{"t": key.time_sec, "s": list(key.strengths)} for key in emotions.keys],
            "values": {name: strengths[:, i].tolist() for i, name in enumerate(NON_NEUTRAL_EMOTIONS)},
        },
    }


def test_the_numbers_that_drawn_curves_are_compared_with_are_those_that_are_rendered():
    kept = json.loads(NUMBERS.read_text(encoding="utf-8"))
    fresh = json.loads(json.dumps(numbers()))
    for name, curve in fresh["curves"].items():
        assert kept["curves"][name]["keys"] == curve["keys"]
        np.testing.assert_allclose(kept["curves"][name]["values"], curve["values"], rtol=0, atol=1e-12)
    assert kept["emotions"]["keys"] == fresh["emotions"]["keys"]
    for name, values in fresh["emotions"]["values"].items():
        np.testing.assert_allclose(kept["emotions"]["values"][name], values, rtol=0, atol=1e-12)


if __name__ == "__main__":
    NUMBERS.write_text(json.dumps(numbers()) + "\n", encoding="utf-8")
