"""A denoiser with what it needs around it, from a file or a folder of the papers' size."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from auteur import provenance
from auteur.errors import UsageError, WeightsError
from auteur.speech.features import SpeechFeatures
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS
from auteur.synthesis.denoiser.storage import load_denoiser, load_parts, read_header
from auteur.synthesis.guidance import Form, Guidance, check_supported
from auteur.synthesis.pretrained.device import full_size_device
from auteur.synthesis.pretrained.folders import require
from auteur.synthesis.pretrained.image_encoder import PortraitEncoder
from auteur.synthesis.pretrained.latents import LatentSpace
from auteur.synthesis.pretrained.loading import BaseFolders, load_base
from auteur.synthesis.windows import WindowSettings

DENOISER_FILE = "denoiser.safetensors"
LAYOUT = (
    f"{DENOISER_FILE} (what training saved), unet/ and motion_adapter/ where that file holds parts only, "
    "vae/, image_encoder/ and speech_encoder/"
)


@dataclass(frozen=True, kw_only=True)
class DenoiserBundle:
    """A denoiser and what it needs around it."""

    denoiser: VideoDenoiser
    size_px: int
    """Side of the square that it paints."""
    latents: LatentSpace | None = None
    """VAE of the latents; None: it paints pixels."""
    image_encoder: PortraitEncoder | None = None
    speech: SpeechFeatures | None = None
    version: str = ""
    """First digits of the SHA-256 of its file."""
    every: int = 1
    """2 paints every second frame of a video and interpolates the changes to the warp in between; for models
    that are given the warped portrait."""

    @property
    def side(self) -> int:
        """Height and width of the sample."""
        return self.size_px // (1 if self.latents is None else self.latents.downscale)

    def settings(
        self,
        *,
        steps: int | None = None,
        au_guidance: float | None = None,
        audio_guidance: float | None = None,
        window: int | None = None,
        reference_guidance: float | None = None,
        expression_guidance: float | None = None,
        guidance_form: Form | None = None,
    ) -> WindowSettings:
        """Returns the settings with which windows are denoised; None stands for the denoiser's default.

        One without a conditioner for Action Units leaves their guidance to the motion.

        Raises:
            UsageError: A value is out of range, or the denoiser has no conditioner for what is guided.
        """
        config, is_full = self.denoiser.config, self.latents is not None
        guidance = Guidance(
            au=1.0 if au_guidance is None or "au" not in config.conditioners else au_guidance,
            audio=1.0 if audio_guidance is None else audio_guidance,
            reference=1.0 if reference_guidance is None else reference_guidance,
            expression=1.0 if expression_guidance is None else expression_guidance,
            form=guidance_form or "nested",
        )
        check_supported(self.denoiser, guidance)
        for name, what in (("audio", "speech"), ("expression", "expressions"), ("reference", "a reference")):
            if getattr(guidance, name) != 1 and name not in config.conditioners:
                raise UsageError(
                    f"{name} guidance is {getattr(guidance, name)}, but this model is not conditioned on "
                    f"{what} (it takes {', '.join(self.denoiser.condition_names)}); leave {name} guidance "
                    "at 1"
                )
        temporal, past = config.network.temporal, config.conditioners.get("past")
        longest = 1 if temporal is None else temporal.longest_window
        if window is not None and not 1 <= window <= longest:
            raise UsageError(f"window is {window}; with this model it must be between 1 and {longest} frames")
        frames = window or min(16 if is_full else 8, longest)
        usual_steps = config.painting.paints_in or (25 if is_full else 4)
        return WindowSettings(
            frames=frames,
            past=0 if past is None else min(past.frames, frames),
            steps=usual_steps if steps is None else steps,
            guidance=guidance,
        )


def load_bundle(
    path: Path,
    *,
    speech: SpeechFeatures,
    device: str | None = None,
    size_px: int | None = None,
    every: int = 1,
) -> DenoiserBundle:
    """Returns the denoiser of a file, or of a folder of the papers' size, with what it needs around it.

    Args:
        path: What `save_denoiser` wrote; or a folder that holds it as "denoiser.safetensors" beside the
            published parts, each as `save_pretrained` wrote it.
        speech: The compact speech encoder, for models that are conditioned on its features.
        device: "cpu" or "cuda"; None: CUDA where there is one. A folder needs CUDA unless it is "cpu".
        size_px: Side of the painted square; None: the size of its training, 512 in latents.
        every: See `DenoiserBundle`.

    Raises:
        UsageError: There is no such device, or a library is missing; the message names what to install.
        WeightsError: The weights are missing, damaged or do not fit.
    """
    chosen = _device(device)
    if path.is_dir():
        require("diffusers")  # the library is missing, not a file of the folder
        return _of_folder(
            path, speech, chosen if device else None, size_px or DENOISER_PRESETS["auhead"].height_px
        )
    denoiser = load_denoiser(path).to(chosen)
    # With this order of the weights, convolutions on a CPU take a fifth less; the stubs lack it.
    denoiser.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if denoiser.config.network.channels != 3:
        raise WeightsError(
            f"{str(path)!r} paints {denoiser.config.network.channels} channels of latents, not pixels; "
            f"name a folder that holds {LAYOUT}"
        )
    return DenoiserBundle(
        denoiser=denoiser,
        size_px=_checked(
            size_px or denoiser.config.painting.sample_px or DENOISER_PRESETS["compact"].height_px,
            denoiser.config.size_multiple,
        ),
        every=every,
        speech=_fitting(speech, denoiser.config, path),
        version=provenance.hash_file(path)[:12],
    )


def say_what_full_needs() -> UsageError:
    """Returns the error for the preset full, which has no weights of its own."""
    need = f"the papers' size ships without weights: name a folder as preset, which holds {LAYOUT}"
    try:
        full_size_device(DENOISER_PRESETS["auhead"].config)
    except UsageError as error:
        return UsageError(f"{need}; and {error}")
    return UsageError(need)


def _of_folder(
    path: Path, speech: SpeechFeatures, device: torch.device | None, size_px: int
) -> DenoiserBundle:
    file = path / DENOISER_FILE
    if not file.is_file():
        raise WeightsError(f"{str(path)!r} holds no {DENOISER_FILE}; such a folder has {LAYOUT}")
    config, _ = read_header(file)
    place = device or full_size_device(config)
    dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
    denoiser = _denoiser_of(path, config, dtype).to(place, dtype)
    latents = LatentSpace(path / "vae", device=place, dtype=dtype)
    size_px = _checked(size_px, denoiser.config.size_multiple * latents.downscale)
    audio, identity = (denoiser.config.conditioners.get(name) for name in ("audio", "identity"))
    has_another_name = audio is not None and audio.space not in ("", getattr(speech, "space", ""))
    if audio is not None and (audio.features != speech.dim or has_another_name):
        from auteur.speech.pretrained import TransformersSpeechFeatures

        speech = TransformersSpeechFeatures(path / "speech_encoder", device=place)
    encoder = None
    if identity is not None:
        encoder = PortraitEncoder(path / "image_encoder", device=place, dtype=dtype)
        if encoder.features != identity.features:
            raise WeightsError(
                f"the image encoder in {str(path)!r} gives {encoder.features} numbers; the denoiser reads "
                f"{identity.features}"
            )
    return DenoiserBundle(
        denoiser=denoiser,
        size_px=size_px,
        latents=latents,
        image_encoder=encoder,
        speech=_fitting(speech, denoiser.config, path),
        version=_version(path),
    )


def _denoiser_of(path: Path, config: DenoiserConfig, dtype: torch.dtype) -> VideoDenoiser:
    """A whole denoiser from its file, or the parts in its file on top of the published ones."""
    if not (path / "unet" / "config.json").is_file():
        return load_denoiser(path / DENOISER_FILE)
    adapter = path / "motion_adapter"
    folders = BaseFolders(unet=path, motion_adapter=adapter if adapter.is_dir() else None)
    denoiser = load_base(config, folders, dtype=dtype)
    load_parts(denoiser, path / DENOISER_FILE)
    return denoiser


def _fitting(speech: SpeechFeatures, config: DenoiserConfig, path: Path) -> SpeechFeatures | None:
    audio = config.conditioners.get("audio")
    if audio is None:
        return None
    if audio.features != speech.dim:
        raise WeightsError(
            f"{str(path)!r} reads {audio.features} numbers per frame; the speech encoder gives {speech.dim}"
        )
    space = getattr(speech, "space", "")
    if audio.space and space and audio.space != space:
        raise WeightsError(
            f"{str(path)!r} reads {audio.space!r} speech features; the speech encoder gives {space!r}: put "
            f"the {audio.space} model that the denoiser was trained with into its speech_encoder/"
        )
    return speech


def _checked(size_px: int, multiple: int) -> int:
    if size_px < 32 or size_px % multiple:
        raise UsageError(f"the painted square has {size_px} px a side; it must be a multiple of {multiple}")
    return size_px


def _device(name: str | None) -> torch.device:
    if name not in (None, "cpu", "cuda"):
        raise UsageError(f"device is {name!r}; choose cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is cuda, but there is no CUDA GPU here; choose cpu")
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def _version(path: Path) -> str:
    """First digits of one SHA-256 of all weights in a folder."""
    whole = hashlib.sha256()
    for file in _weights(path):
        whole.update(provenance.hash_file(file).encode())
    return whole.hexdigest()[:12]


def _weights(path: Path) -> Iterator[Path]:
    yield from sorted(path.rglob("*.safetensors"))
