"""Presets: the denoisers of the papers and the compact one, and what each training phase changes."""

from dataclasses import dataclass

from auteur.errors import UsageError
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.conditioners.audio import AudioConfig
from auteur.synthesis.conditioners.expression import ExpressionConfig
from auteur.synthesis.conditioners.identity import IdentityConfig
from auteur.synthesis.conditioners.landmarks import LandmarksConfig
from auteur.synthesis.conditioners.past import PastConfig
from auteur.synthesis.conditioners.reference import ReferenceConfig
from auteur.synthesis.conditioners.warped import WarpedConfig
from auteur.synthesis.denoiser.config import (
    DenoiserConfig,
    DiffusionConfig,
    NetworkConfig,
    PaintingConfig,
    TemporalConfig,
    UNetConfig,
)
from auteur.synthesis.denoiser.seam_refiner import SeamRefinerConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A model and its training phases."""

    config: DenoiserConfig
    phases: tuple[tuple[str, ...], ...]
    """Parts that learn in each phase; the others are frozen."""
    frames: tuple[int, ...]
    """Frames per training clip in each phase; 1 is images."""
    height_px: int
    width_px: int


_STABLE_DIFFUSION = DenoiserConfig.of(
    temporal=TemporalConfig(), reference=ReferenceConfig(), identity=IdentityConfig(), past=PastConfig()
)

_COMPACT_UNET = UNetConfig(
    widths=(48, 64, 96),
    attends=(False, False, True),
    layers=1,
    heads=4,
    groups=16,
    context_width=None,
)

DENOISER_PRESETS = {
    # Paper A: Hallo V1 stays as it is, the Action Unit adapter learns. Hallo appends the portrait ungated.
    "auhead": Preset(
        config=_STABLE_DIFFUSION.changed(
            reference=ReferenceConfig(gated=False), audio=AudioConfig(space="wav2vec2"), au=AUConfig()
        ),
        phases=(("au",),),
        frames=(14,),
        height_px=512,
        width_px=512,
    ),
    # Paper B: a UNet conditioned on portrait, speech and an expression vector. Phases as Hallo's.
    "emodiffhead": Preset(
        config=_STABLE_DIFFUSION.changed(
            audio=AudioConfig(space="wav2vec2"), expression=ExpressionConfig(space="flame50")
        ),
        phases=(
            ("base", "reference", "identity", "expression"),
            ("temporal", "past", "audio"),
        ),
        frames=(1, 14),
        height_px=512,
        width_px=512,
    ),
    # Paper C: drawn landmarks and the portrait. Phases as AniPortrait's: images, then motion alone.
    "landmark": Preset(
        config=_STABLE_DIFFUSION.changed(landmarks=LandmarksConfig()),
        phases=(
            ("base", "reference", "identity", "landmarks"),
            ("temporal", "past"),
        ),
        frames=(1, 16),
        height_px=512,
        width_px=512,
    ),
    # All of them at once, small, in pixels of the mouth, around the warped portrait.
    "compact": Preset(
        config=DenoiserConfig(
            network=NetworkConfig(
                channels=3,
                patch=4,
                unet=_COMPACT_UNET,
                temporal=TemporalConfig(levels=(False, True, True), heads=4, groups=16, longest_window=32),
                finish=SeamRefinerConfig(),
                conditioners={
                    "reference": ReferenceConfig(),
                    "warped": WarpedConfig(),
                    "landmarks": LandmarksConfig(downscale=4, stem=(16, 16, 32), attending_levels=1, head=32),
                    # Many videos are made without Action Units or an emotion.
                    "au": AUConfig(
                        form="sequence", width=64, grid=2, head=32, every_layer=False, dropout=0.3
                    ),
                    "expression": ExpressionConfig(dropout=0.3),
                    "audio": AudioConfig(
                        features=80,
                        hidden=128,
                        tokens=4,
                        width=64,
                        head=32,
                        by_region=False,
                        every_layer=False,
                        dropout=0.2,
                    ),
                    "past": PastConfig(head=32),
                },
            ),
            diffusion=DiffusionConfig(
                process="flow",
                data_deviation=0.5,
                anchor_deviation=0.15,
                answers="data",
                noise_shift=0.15,
                noise_common=1.0,
            ),
            painting=PaintingConfig(views=("mouth",), sample_px=128),
        ),
        phases=(
            ("base", "finish", "reference", "warped", "landmarks", "au", "expression", "audio"),
            ("temporal", "past"),
        ),
        frames=(1, 8),
        height_px=128,
        width_px=128,
    ),
}


def preset(name: str) -> Preset:
    """Returns a preset by name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in DENOISER_PRESETS:
        raise UsageError(f"no preset {name!r}; choose one of {', '.join(DENOISER_PRESETS)}")
    return DENOISER_PRESETS[name]
