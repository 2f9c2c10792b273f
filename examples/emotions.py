"""Neutral and the seven emotions of one portrait in one picture: docs/emotions.jpg.

    python examples/emotions.py docs/emotions.jpg

Every tile is the same instant of `auteur generate portrait.png speech.flac --emotion E --seed 0`, everything
else at its default. The portrait is scikit-image's "astronaut", a public-domain photograph of NASA.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from auteur import TalkingHead, provenance
from auteur.cli.console import one_thread
from auteur.facs import EMOTIONS
from auteur.media import write_image

SPEECH = Path(__file__).parent / "speech.flac"
TIME_SEC = 1.2
ROWS, TILE_PX = 2, 270
LABEL_PX = 20
SHOWN = (slice(10, 210), slice(90, 290))
"""Rows and columns of the frames: the face."""
MARK = provenance.Mark(settings={"example": "emotions of one portrait"})


def labelled(frame: np.ndarray, emotion: str) -> np.ndarray:
    """Returns the face out of a frame with the emotion's name in its corner."""
    tile = Image.fromarray(frame[SHOWN]).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    font = ImageFont.load_default(LABEL_PX)
    place = (10, TILE_PX - LABEL_PX - 10)
    ImageDraw.Draw(tile).text(place, emotion, font=font, fill="white", stroke_width=2, stroke_fill="black")
    return np.array(tile)


def main(out: Path) -> None:
    """Writes the picture."""
    one_thread()
    portrait = np.ascontiguousarray(data.astronaut()[:384, 32:416])
    head = TalkingHead.from_pretrained("compact")
    tiles = [
        labelled(
            head(portrait, SPEECH, emotion=emotion, seed=0, seconds=TIME_SEC + 0.2).frame(TIME_SEC), emotion
        )
        for emotion in EMOTIONS
    ]
    columns = len(EMOTIONS) // ROWS
    rows = [np.concatenate(tiles[i * columns : (i + 1) * columns], axis=1) for i in range(ROWS)]
    write_image(out, np.concatenate(rows), mark=MARK, overwrite=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
