"""Speech: attention to a window of features, by region of the face (Hallo, arXiv 2406.08801, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import CrossAttention, Place, choose, null, per_place, zero

REGIONS = ("pose", "face", "lips")


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """Sizes of the audio conditioner."""

    features: int = 768
    """D: numbers per audio frame."""
    space: str = ""
    """Name of the features, such as "wav2vec2" or "hubert"; "": any of that width."""
    window: int = 5
    """W: the frame, and two on either side."""
    hidden: int = 512
    tokens: int = 32
    """Tokens per frame; MEMO's and Hallo's 32."""
    width: int = 768
    head: int = 64
    by_region: bool = True
    """Three attentions, for pose, face and lips, as in Hallo; otherwise one for everything."""
    every_layer: bool = True
    dropout: float = 0.05


def windows_around(features: Tensor, window: int = 5) -> Tensor:
    """Returns for every frame of speech features [..., T, D] those around it, [..., T, window, D].

    The first and last frame stand for what lies beyond.

    Raises:
        UsageError: `window` is not odd.
    """
    if window < 1 or window % 2 == 0:
        raise UsageError(f"window is {window}; it must be odd, so that the frame is in its middle")
    frames = torch.arange(features.shape[-2], device=features.device)
    around = torch.arange(window, device=features.device) - window // 2
    chosen = (frames[:, None] + around).clamp(0, features.shape[-2] - 1)
    return features[..., chosen, :]


class AudioConditioner(Conditioner):
    """Tokens from a window of speech features, and masked attention to them at every resolution.

    Without regions it acts everywhere.
    """

    name = "audio"
    inputs = (Input("audio", per_frame=True), Input("regions", per_frame=True, missing=1.0))
    entry = Entry.CROSS_ATTENTION
    config_type = AudioConfig
    guided_by = "audio"
    optional = True

    def __init__(self, config: AudioConfig, places: Sequence[Place], *, groups: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(  # Hallo: flatten the window, 512, 512, 32 x 768
            nn.Linear(config.window * config.features, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.tokens * config.width),
        )
        self.norm = nn.LayerNorm(config.width)
        self.null = null(config.tokens, config.width)
        chosen = [place for place in places if config.every_layer or place.closes]
        self.adapters = per_place(chosen, lambda at: RegionAttention(config, at.channels, groups=groups))

    @classmethod
    def build(cls, config: AudioConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, network.places, groups=network.groups)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shapes of the speech features and of the masks of pose, face and lips."""
        features = (sample.frames, self.config.window, self.config.features)
        return {"audio": features, "regions": (sample.frames, 3, None, None)}

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns tokens [B * F, tokens, width], and regions [B * F, 3, H, W] or None for everywhere."""
        config, audio, regions = self.config, given.get("audio"), given.get("regions")
        if audio is None:
            tokens = self.null.expand(sample.rows * sample.frames, -1, -1)
        else:
            tokens = self.norm(self.encoder(audio.flatten(2)).unflatten(2, (config.tokens, config.width)))
            tokens = choose(given.present, tokens, self.null).flatten(0, 1)
        return tokens, None if regions is None else regions.flatten(0, 1)

    def forward(self, place: str, value: Tensor, code: tuple[Tensor, Tensor | None]) -> Tensor:
        """Returns a feature map [B * F, C, h, w] plus its attention to the speech."""
        return value + self.adapters[place](value, *code) if place in self.adapters else value


class RegionAttention(nn.Module):
    """Σ_r ZeroConv_r(mask_r · CrossAttn_r(z, audio)) over pose, face and lips."""

    def __init__(self, config: AudioConfig, channels: int, *, groups: int) -> None:
        super().__init__()
        names = REGIONS if config.by_region else ("everywhere",)
        self.attentions = nn.ModuleDict(
            {
                name: CrossAttention(
                    channels=channels,
                    width=config.width,
                    head=config.head,
                    groups=groups,
                    starts_at_zero=False,
                )
                for name in names
            }
        )
        # Without bias: nothing is added where the mask is zero.
        self.zero_convs = nn.ModuleDict(
            {name: zero(nn.Conv2d(channels, channels, 1, bias=False)) for name in names}
        )

    def forward(self, hidden: Tensor, tokens: Tensor, regions: Tensor | None) -> Tensor:
        """[N, C, h, w], [N, K, width], [N, 3, H, W] → [N, C, h, w]."""
        masks = None
        if regions is not None and len(self.attentions) == len(REGIONS):
            masks = functional.adaptive_avg_pool2d(regions, (hidden.shape[-2], hidden.shape[-1]))
        total = torch.zeros_like(hidden)
        for index, (name, attention) in enumerate(self.attentions.items()):
            heard = attention(hidden, tokens)
            if masks is not None:
                heard = heard * masks[:, index : index + 1]
            total = total + self.zero_convs[name](heard)
        return total
