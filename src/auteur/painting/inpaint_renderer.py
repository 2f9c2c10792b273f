"""Frames through a denoiser on top of the warped portrait: presets compact and fast, and denoiser files."""

from collections.abc import Collection, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from auteur import malloc
from auteur.errors import UsageError
from auteur.painting.conditioning import ConditionBuilder
from auteur.painting.inpainter import Inpainter
from auteur.painting.loading import DenoiserBundle, load_bundle
from auteur.painting.renderer import Frames, RenderInput
from auteur.speech.features import SpeechFeatures

NAMED_GUIDANCE = ("reference_guidance", "expression_guidance", "guidance_form")
"""Options that are recorded where they are set."""


class InpaintRenderer:
    """A `Renderer` around a denoiser.

    Args:
        bundle: The denoiser and what it needs around it.
    """

    is_sequential = True

    def __init__(self, bundle: DenoiserBundle) -> None:
        self.bundle = bundle

    @property
    def models(self) -> dict[str, str]:
        """The denoiser's version."""
        return {"denoiser": self.bundle.version}

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the steps, window and guidance that the denoiser runs with.

        Raises:
            UsageError: A value is out of range, or the denoiser has no conditioner for what is guided.
        """
        if useless := sorted(options.keys() & {"sampler", "compile", "identity"}):
            raise UsageError(
                f"{', '.join(useless)}: no effect but with AniPortrait, Hallo and MEMO; leave it out"
            )
        windows = self.bundle.settings(**options)
        scales = {"au_guidance": windows.guidance.au, "audio_guidance": windows.guidance.audio}
        scales |= {name: options[name] for name in NAMED_GUIDANCE if name in options}
        return {"steps": windows.steps, "window": windows.frames, **scales}

    def frames(
        self,
        given: RenderInput,
        *,
        first: int = 0,
        stop: int | None = None,
        only: Collection[int] | None = None,
    ) -> Generator[Frames]:
        """Yields the frames, uint8 [H, W, 3]; a second thread warps the next window meanwhile.

        Raises:
            UsageError: Memory does not suffice; the message names what to lower.
        """
        speech = self.bundle.speech
        builder = ConditionBuilder(
            self.bundle,
            given.warper,
            given.portrait,
            given.portrait_landmarks,
            basis=given.basis,
            action_units=given.action_units,
            expression=given.expression,
            speech_features=None if speech is None else given.speech_features(speech),
        )
        builder.shading = given.shading
        malloc.trim_heap()  # what the analysis of the speech took
        malloc.keep_freed_memory()
        made = Inpainter(builder).frames(
            given.landmarks,
            first=first,
            count=given.frame_count if stop is None else stop,
            seed=given.seed,
            settings=self.bundle.settings(**given.options),
        )
        with closing(made):
            for number, frame in enumerate(made, start=first):
                if only is None or number in only:
                    yield frame


def load(path: Path | None, speech: SpeechFeatures, device: str | None) -> InpaintRenderer:
    """Returns the renderer of a denoiser's file, or of a folder of the papers' size.

    Raises:
        UsageError: There is no such device, or a library is missing.
        WeightsError: The weights are missing, damaged or do not fit.
    """
    assert path is not None  # noqa: S101 - every row of this loader has weights
    return InpaintRenderer(load_bundle(path, speech=speech, device=device))


def load_every_second(path: Path | None, speech: SpeechFeatures, device: str | None) -> InpaintRenderer:
    """Returns the same, painting every second frame; see `DenoiserBundle.every`."""
    assert path is not None  # noqa: S101 - every row of this loader has weights
    return InpaintRenderer(load_bundle(path, speech=speech, device=device, every=2))
