"""Code that the aligner and the recogniser share, around PocketSphinx."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError

FRAMES_PER_SEC = 100
SAMPLES_PER_FRAME = 160

Samples = NDArray[np.int16]
"""[S] at 16 kHz."""


def new_decoder(**settings: Any) -> Any:
    """Returns a decoder of PocketSphinx with its English model.

    Raises:
        UsageError: PocketSphinx is not installed.
    """
    try:
        import pocketsphinx
    except ImportError as error:
        raise UsageError("PocketSphinx is not installed; run: pip install pocketsphinx") from error
    return pocketsphinx.Decoder(loglevel="FATAL", **settings)


def decode(decoder: Any, samples: Samples) -> None:
    """Runs a decoder on one utterance."""
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()


def aligned(decoder: Any, words: str, samples: Samples) -> Any:
    """Returns words laid over sound: for each word its phones with `name`, `start` and `duration` in frames.

    Returns:
        None if nothing could be laid over it.

    Raises:
        RuntimeError: PocketSphinx cannot do it.
    """
    decoder.set_align_text(words)
    decode(decoder, samples)
    decoder.set_alignment()
    decode(decoder, samples)
    return decoder.get_alignment()
