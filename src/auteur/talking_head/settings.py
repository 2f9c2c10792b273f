"""Settings of a generated video, and the record of them in its mark."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from auteur import provenance
from auteur.errors import UsageError
from auteur.media import QUALITIES
from auteur.motion.grid import MOTION_RATE
from auteur.motion.speech_motion import MotionOptions
from auteur.talking_head.backdrop import check_background
from auteur.talking_head.framing import Framing
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import find_route

LONGEST_SEC = 3600


@dataclass(frozen=True)
class Settings:
    """How a video is generated, independent of the performance."""

    seed: int | None = None
    """Seed of motion, blinks, gaze and head: the same seed gives the same frames. None: a hash of portrait
    and speech, so that the same inputs repeat and others differ."""
    fps: Fraction = MOTION_RATE
    """Frames per second of the video."""
    head: float = 1.0
    """Factor on head motion; 0 keeps the head still."""
    blinks: bool = True
    gaze: bool = True
    temperature: float | None = None
    """Sampling temperature of the face, in [0, 2]; None: the spread of people (`auteur.motion.face_flow`)."""
    liveliness: float = 1.0
    """Amount of motion of face and head: 0 calm, 1 like most people, 2 like the liveliest."""
    route: str = "auto"
    """Name of the stage before the motion (`auteur.talking_head.routes.ROUTES`), or "auto"."""
    steps: int | None = None
    """Denoising steps per window of frames, 1 to 1000; refused by presets without a denoiser, as are audio
    guidance and window. None: the denoiser's default."""
    au_guidance: float | None = None
    """Guidance of Action Units in motion (`auteur.motion.guidance`) and denoiser, 0 to 20: 1 as given, 0
    switches them off, 3.5 exaggerates; None: 1."""
    audio_guidance: float | None = None
    """Guidance of the speech in the denoiser, 0 to 20; None: 1."""
    reference_guidance: float | None = None
    """Guidance of the portrait in the denoiser, 0 to 20; None: 1. AUHead's s_H is this, that of the speech
    and that of the expression together."""
    expression_guidance: float | None = None
    """Guidance of the expression vectors in the denoiser, 0 to 20; None: 1."""
    guidance_form: Literal["published", "nested"] | None = None
    """AU guidance in the denoiser alone: "published" for AUHead's Eq. 6, "nested" for the form whose unit
    scales guide nothing. None: nested, and the motion is guided as well."""
    window: int | None = None
    """Frames that are denoised together; fewer need less memory."""
    sampler: str | None = None
    """Of published models: published, or dpm, which needs fewer steps (`auteur.synthesis.published.solver`).
    None: published."""
    compile: bool = False
    """Whether published models run through `torch.compile`."""
    identity: str | None = None
    """File of a face embedding or of a face network, for Hallo and MEMO
    (`auteur.painting.face_embedding`)."""
    seconds: float | None = None
    """Only the first seconds of the video are made; its frames are those of the whole one. None: all."""
    crop: str | None = None
    """Shape of the part around the face that is kept, width to height: "9:16", "1:1"; None: the
    portrait's."""
    size: str | None = None
    """Size that is written: the longer side, "720", or width and height, "720x1280", which crops to that
    shape."""
    quality: str = "high"
    """low, medium, high or best (`auteur.media.QUALITIES`)."""
    background: str | None = None
    """What is behind the person: "none" for transparency, a colour, or a picture file; None: as it was."""
    consent: str | None = None
    """Who agreed to be shown, and on what basis; recorded in sidecar and manifest
    (`auteur.provenance.consent`)."""
    signing: provenance.Signing | None = None
    """Certificate and key for signed outputs."""

    watermark: bool = True
    """Whether written frames carry the watermark of the run (`auteur.watermark`), which the sidecar names."""

    @property
    def framing(self) -> Framing:
        """Crop and size of the frames."""
        return Framing.parse(self.crop, self.size)

    @property
    def output(self) -> dict[str, Any]:
        """Length, crop, size and background that are set, by name."""
        names = ("seconds", "crop", "size", "background")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def au_guidance_or_default(self) -> float:
        """AU guidance; 1 where it is not set."""
        return 1.0 if self.au_guidance is None else self.au_guidance

    @property
    def motion_guidance(self) -> float:
        """AU guidance of the motion; 1 where the form names the denoiser."""
        return 1.0 if self.guidance_form is not None else self.au_guidance_or_default

    @property
    def render_options(self) -> dict[str, Any]:
        """Options that are set for the renderer, by name."""
        names = (
            *("steps", "au_guidance", "audio_guidance", "window", "sampler", "identity"),
            *("reference_guidance", "expression_guidance", "guidance_form"),
        )
        found = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return found | ({"compile": True} if self.compile else {})

    def __post_init__(self) -> None:
        find_route(self.route)
        if not 1 <= self.fps <= 120:
            raise UsageError(f"fps is {str(self.fps)[:40]}; it must be between 1 and 120")
        MotionOptions(temperature=self.temperature, liveliness=self.liveliness, head=self.head)
        if self.seconds is not None and not 0 < self.seconds <= LONGEST_SEC:
            raise UsageError(
                f"seconds is {self.seconds:g}; it must be above 0 and at most {LONGEST_SEC}; "
                "leave it out for all"
            )
        if self.quality not in QUALITIES:
            raise UsageError(f"quality is {self.quality!r}; choose one of {', '.join(QUALITIES)}")
        Framing.parse(self.crop, self.size)
        object.__setattr__(self, "consent", provenance.check_consent(self.consent))
        check_background(self.background)
        if self.render_options:
            from auteur.synthesis.guidance import Guidance
            from auteur.synthesis.samplers.schedule import check_steps

            check_steps(1 if self.steps is None else self.steps)
            Guidance(
                au=self.au_guidance_or_default,
                audio=1.0 if self.audio_guidance is None else self.audio_guidance,
                reference=1.0 if self.reference_guidance is None else self.reference_guidance,
                expression=1.0 if self.expression_guidance is None else self.expression_guidance,
                form=self.guidance_form or "nested",
            )


def mark_of(
    inputs: dict[str, str],
    requested: PerformanceRequest,
    settings: Settings,
    *,
    models: dict[str, str],
    rendering: dict[str, Any],
) -> provenance.Mark:
    """Returns the mark of an output: inputs by hash, models by version, and all settings.

    Args:
        inputs: SHA-256 of portrait and speech; those of files that the request names are added.
        requested: The requested performance.
        settings: How it is generated.
        models: Version of each model that takes part.
        rendering: Options of the renderer (`Renderer.resolve`).
    """
    inputs = dict(inputs)
    inputs |= {role: provenance.hash_file(path) for role, path in requested.files().items()}
    if settings.background is not None and Path(settings.background).is_file():
        inputs["background"] = provenance.hash_file(settings.background)
    return provenance.Mark(
        models=models,
        inputs=inputs,
        settings={
            "emotion": requested.emotion,
            **({} if requested.emotion_curve is None else {"emotion_curve": str(requested.emotion_curve)}),
            "intensity": requested.intensity,
            "action_units": dict(requested.action_units),
            "scales": dict(requested.scales),
            **requested.track_reading.given(),
            "route": settings.route,
            "fps": str(settings.fps),
            "head": settings.head,
            "blinks": settings.blinks,
            "gaze": settings.gaze,
            "temperature": settings.temperature,
            "liveliness": settings.liveliness,
            **requested.sources(),
            **settings.output,
            **rendering,
        },
        seed=settings.seed,
        consent=settings.consent,
        signing=settings.signing,
        watermark=settings.watermark,
    )
