"""wav2vec 2.0 as Hallo and MEMO use it: all layers, one row per video frame (theirs: Wav2VecModel).

Outputs of the convolutions are resampled to the video's frames before the transformer; `speech.pretrained`
does so after it, and keeps the last layer.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError

RATE_HZ = 16_000
WINDOW_FRAMES = 5
"""Of speech around each video frame."""


def normalised(samples: Tensor) -> Tensor:
    """Returns mono samples [N] with mean 0 and variance 1, as transformers' Wav2Vec2FeatureExtractor."""
    wide = samples.double()
    return ((wide - wide.mean()) / (wide.var(correction=0) + 1e-7).sqrt()).to(samples)


@torch.no_grad()
def all_layers(model: Any, samples: Tensor, frames: int) -> Tensor:
    """Returns the hidden states after every layer, [frames, layers, D].

    Args:
        model: A Wav2Vec2Model of transformers.
        samples: Normalised, 16 kHz, [N]; the whole speech at once.
        frames: Of the video that it lasts for.

    Raises:
        UsageError: The speech is shorter than the span of the convolutions.
    """
    heard = model.feature_extractor(samples[None])
    if heard.shape[-1] < 1 or frames < 1:
        raise UsageError("the speech is too short for wav2vec; give it at least 0.03 s")
    on_frames = functional.interpolate(heard, size=frames, mode="linear", align_corners=True)
    projected, _ = model.feature_projection(on_frames.transpose(1, 2))
    states: list[Tensor] = []

    def keep(_: Any, __: Any, made: Any) -> None:
        states.append(made if isinstance(made, Tensor) else made[0])

    hooks = [layer.register_forward_hook(keep) for layer in model.encoder.layers]
    try:
        model.encoder(projected)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(states, dim=2)[0]


def windows_of(layers: Tensor) -> Tensor:
    """Returns features around each frame, [F, layers, D] → [F, 5, layers, D]; the ends are repeated."""
    count = len(layers)
    around = torch.arange(count)[:, None] + torch.arange(WINDOW_FRAMES) - WINDOW_FRAMES // 2
    return layers[around.clamp(0, count - 1).to(layers.device)]
