"""wav2vec 2.0 and HuBERT as `SpeechFeatures`, for the full size."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from auteur.errors import UsageError, WeightsError
from auteur.signals import Sound
from auteur.signals.sound import Samples, overlapping
from auteur.signals.spans import spans
from auteur.speech.features import OnFrames, frames_at

_RATE_HZ = 16_000
_SHORTEST_SAMPLES = 400
_PIECE_SAMPLES = 30 * _RATE_HZ


class TransformersSpeechFeatures:
    """A wav2vec 2.0, HuBERT, WavLM or similar model of transformers, read from a local folder.

    The network attends over whole windows, so long speech is cut into windows that overlap by `margin_sec`
    on each side, and features differ from those of one pass over everything (unlike the compact encoder's):
    with random weights at HuBERT base's size and the default windows by 4 % (root mean square of 48 s, as a
    part of the features' own) where its first layer is normalised over time ("group"), by 2 % where it is not
    ("layer"); without a margin, in windows of 10 s, by 13 and 7 %. Memory beyond the result does not grow
    with the length; the sound is gone through twice.

    Args:
        folder: What `save_pretrained` wrote: config.json and safetensors weights. Nothing is downloaded.
        device: Where the network runs; features come back to the CPU.
        window_sec: Longest window whose features are kept.
        margin_sec: Sound around a window that is also input of the network.

    Raises:
        UsageError: transformers is not installed, or the windows are not sensible.
        WeightsError: The folder holds no such model.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        device: torch.device | str = "cpu",
        window_sec: int = 30,
        margin_sec: int = 2,
    ) -> None:
        if not (1 <= window_sec <= 600 and 0 <= margin_sec <= 60):
            raise UsageError(
                f"window_sec is {window_sec} and margin_sec {margin_sec}; "
                "they must be 1 to 600 and 0 to 60 seconds"
            )
        try:
            from transformers import AutoModel
        except ImportError as error:
            raise UsageError("transformers is not installed; run: pip install 'auteur-face[full]'") from error
        try:
            model = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            cause = str(error).splitlines()[0]
            raise WeightsError(f"{str(folder)!r} holds no speech model of transformers: {cause}") from error
        if not hasattr(model.config, "conv_stride"):
            raise WeightsError(
                f"{str(folder)!r} holds a {type(model).__name__}; a wav2vec 2.0 or HuBERT model is needed"
            )
        self._model = model.to(device).eval()
        self._device = torch.device(device)
        self._stride = int(np.prod(model.config.conv_stride))
        self._window = window_sec * _RATE_HZ // self._stride
        self._margin = margin_sec * _RATE_HZ // self._stride

    @property
    def dim(self) -> int:
        """Numbers per frame: the network's hidden size."""
        return int(self._model.config.hidden_size)

    @property
    def space(self) -> str:
        """Name of the features in configs of models that read them: the kind of model, such as "hubert"."""
        return str(self._model.config.model_type)

    @torch.no_grad()
    def encode(self, waveform: Sound, rate: Fraction) -> Tensor:
        """Returns the last hidden states at the frame rate, [T, dim], float32; see `SpeechFeatures.encode`.

        Raises:
            UsageError: The rate is outside 1 to 200 frames per second.
        """
        frames = frames_at(waveform, rate)
        sound = waveform.resample(_RATE_HZ)
        count = sound.sample_count // self._stride + 2
        result = OnFrames(count, Fraction(_RATE_HZ, self._stride), rate, frames)
        for states in self._states(sound, count):
            result.add(states)
        return result.result

    def _states(self, sound: Sound, count: int) -> Iterator[Tensor]:
        """Yields the `count` rows of the network, window by window."""
        # Row n of the network reads 400 samples from n * stride on; pad so that they lie around n * stride.
        half = _SHORTEST_SAMPLES // 2
        blocks = chain([_silence(half)], _normalised(sound), [_silence(half + self._stride)])
        windows = overlapping(
            blocks,
            sound.sample_count + _SHORTEST_SAMPLES + self._stride,
            self._window * self._stride,
            before=self._margin * self._stride,
            after=(self._margin - 1) * self._stride + _SHORTEST_SAMPLES,
        )
        rows = spans(count, self._window, before=self._margin, after=self._margin)
        for span, (_, samples) in zip(rows, windows, strict=False):
            needed = (span.around.stop - span.around.start - 1) * self._stride + _SHORTEST_SAMPLES
            read = torch.from_numpy(samples[:needed].copy())
            states = self._model(read[None].to(self._device)).last_hidden_state[0].float().cpu()
            yield states[span.inner]


def _silence(samples: int) -> Samples:
    return np.zeros(samples, np.float32)


def _normalised(sound: Sound) -> Iterator[Samples]:
    """The sound with mean 0 and variance 1, in pieces."""
    total = square = 0.0
    for _, piece in sound.pieces(_PIECE_SAMPLES):
        total += piece.sum(dtype=np.float64)
        square += np.square(piece, dtype=np.float64).sum()
    mean = total / sound.sample_count
    deviation = np.sqrt(max(square / sound.sample_count - mean**2, 0) + 1e-7)
    for _, piece in sound.pieces(_PIECE_SAMPLES):
        yield ((piece - mean) / deviation).astype(np.float32)
