"""wav2vec 2.0 and HuBERT as `SpeechFeatures`, for the full size."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from auteur.errors import UsageError, WeightsError
from auteur.signals import Sound
from auteur.speech.features import at_frame_rate, frames_at

_RATE_HZ = 16_000
_SHORTEST_SAMPLES = 400


class TransformersSpeechFeatures:
    """A wav2vec 2.0, HuBERT, WavLM or similar model of transformers, read from a local folder.

    The network attends over whole windows, so long speech is cut into windows that overlap by `margin_sec`
    on each side; features then differ slightly from those of one pass over everything (unlike the compact
    encoder's).

    Args:
        folder: What `save_pretrained` wrote: config.json and safetensors weights. Nothing is downloaded.
        device: Where the network runs; features come back to the CPU.
        window_sec: Longest window whose features are kept.
        margin_sec: Sound around a window that the network also hears.

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

    @torch.no_grad()
    def encode(self, waveform: Sound, rate: Fraction) -> Tensor:
        """Returns the last hidden states at the frame rate, [T, dim], float32; see `SpeechFeatures.encode`.

        Raises:
            UsageError: The rate is outside 1 to 200 frames per second.
        """
        frames = frames_at(waveform, rate)
        samples = np.array(waveform.resample(_RATE_HZ).samples)
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        # Row n of the network hears 400 samples from n * stride on; pad so that they lie around n * stride.
        half = _SHORTEST_SAMPLES // 2
        padded = torch.from_numpy(np.pad(samples, (half, half + self._stride)))
        count = (padded.shape[0] - _SHORTEST_SAMPLES) // self._stride + 1
        parts = [self._window_states(padded, first, count) for first in range(0, count, self._window)]
        return at_frame_rate(torch.cat(parts), Fraction(_RATE_HZ, self._stride), rate, frames)

    def _window_states(self, padded: Tensor, first: int, count: int) -> Tensor:
        start = max(first - self._margin, 0)
        stop = min(first + self._window + self._margin, count)
        sound = padded[start * self._stride : (stop - 1) * self._stride + _SHORTEST_SAMPLES]
        states = self._model(sound[None].to(self._device)).last_hidden_state[0].float().cpu()
        return states[first - start : first - start + self._window]
