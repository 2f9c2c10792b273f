"""Frames through a denoiser: the conditions of a performed video, window by window, and what comes of them.

A denoiser sees a square around the portrait's face. One that is given the warped portrait paints mouth and
eyes anew: what it changes is added to the warp, which keeps the portrait's full resolution everywhere else.
One that is not paints the whole square, which is laid over the warp with a soft border.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError, WeightsError
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.facs import convert, find_convention
from auteur.motion.au_basis import AUBasis
from auteur.pipelines.pasting import LIP_MARGIN, LIPS, Paste, eye_distance, holes, oval, painted_mask
from auteur.pipelines.structure import action_units_to_landmarks, draw_landmarks, drawing_frame
from auteur.signals import AUTrack, LandmarkTrack
from auteur.speech.features import SpeechFeatures
from auteur.synthesis.conditioners.audio import windows_around
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.full.image_encoder import PortraitEncoder
from auteur.synthesis.full.latents import LatentSpace
from auteur.synthesis.guidance import Guidance, check_supported
from auteur.synthesis.samplers import OnStep, process_named
from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.mesh import FACE_OVAL
from auteur.synthesis.windows import Video, WindowSettings, explained_memory, generate

Floats = NDArray[np.floating]
Frames = NDArray[np.uint8]
TrackOf = Callable[[int, int], LandmarkTrack]
"""(first frame, frame after the last) → their landmarks."""

SEQUENCE_CONVENTIONS = {24: "feafa24", 18: "openface18"}
"""What the numbers of a sequence mean, by how many there are: papers A and C."""

_HEAD = 1.6
"""Side of the square of a model that paints all of it, beside that of one that paints a face."""


@dataclass(frozen=True, kw_only=True)
class Painter:
    """A denoiser and what must stand around it."""

    denoiser: VideoDenoiser
    size_px: int
    """Side of the square that it paints."""
    latents: LatentSpace | None = None
    """None: it paints pixels."""
    image_encoder: PortraitEncoder | None = None
    speech: SpeechFeatures | None = None
    version: str = ""
    """Start of the hash of its file."""

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
    ) -> WindowSettings:
        """Returns how windows are denoised; None is what suits the denoiser.

        Raises:
            UsageError: A value is out of range, or the denoiser has no plug for what is to be guided.
        """
        config, is_full = self.denoiser.config, self.latents is not None
        guidance = Guidance(
            au=1.0 if au_guidance is None else au_guidance,
            audio=1.0 if audio_guidance is None else audio_guidance,
        )
        check_supported(self.denoiser, guidance)
        if guidance.audio != 1 and config.audio is None:
            raise UsageError(
                f"audio guidance is {guidance.audio}, but this model does not listen (it takes "
                f"{', '.join(self.denoiser.condition_names)}); leave audio guidance at 1"
            )
        longest = 1 if config.temporal is None else config.temporal.longest_window
        if window is not None and not 1 <= window <= longest:
            raise UsageError(f"window is {window}; with this model it must be between 1 and {longest} frames")
        frames = window or min(16 if is_full else 8, longest)
        return WindowSettings(
            frames=frames,
            past=0 if config.past is None else min(config.past.frames, frames),
            steps=steps if steps is not None else (25 if is_full else 4),
            guidance=guidance,
        )


class Painting:
    """One performed video to be painted.

    Args:
        painter: The denoiser.
        warper: The portrait's.
        portrait: uint8 [3, H, W].
        landmarks: The portrait's, [478, 3] px.
        basis: Displacement per Action Unit, for models that are shown drawings.
        asked: Action Units, convention "facs", one row per frame; None: nothing is said about the face.
        heard: Speech features, [T, D], one row per frame; None: nothing is heard.
    """

    def __init__(
        self,
        painter: Painter,
        warper: PortraitWarper,
        portrait: Tensor,
        landmarks: Floats,
        *,
        basis: AUBasis,
        asked: AUTrack | None = None,
        heard: Tensor | None = None,
    ) -> None:
        self._painter, self._warper, self._landmarks, self._basis = painter, warper, landmarks, basis
        self._config = painter.denoiser.config
        self._heard, self._asked = heard, None if self._config.au is None else asked
        self._numbers = None
        if self._config.au is not None and asked is not None and self._config.au.form == "sequence":
            self._numbers = _sequence(asked, self._config.au.action_units)
        self.frame = _square(landmarks, portrait, is_whole=self._config.warped is None)
        self._paste = Paste(self.frame, painter.size_px, portrait.shape[2], portrait.shape[1])
        self._still = self._still_conditions(portrait)
        self._warped = torch.zeros(0)
        self._moved = torch.zeros(0)

    def frames(
        self,
        landmarks: TrackOf,
        *,
        count: int,
        seed: int,
        settings: WindowSettings,
        on_step: OnStep | None = None,
    ) -> Iterator[Frames]:
        """Yields uint8 [H, W, 3]; the same ones for the same seed and settings.

        Args:
            landmarks: Of some frames.
            count: Frames of the video.
            seed: Of the noise; each frame has its own.
            settings: Windows without overlap.
            on_step: Told after each denoising step how many are done, of all; an error raised in it cancels.

        Raises:
            UsageError: Memory does not suffice; the message says what to lower.
        """
        shape = (self._config.channels, self._painter.side, self._painter.side)

        def conditions(first: int, stop: int) -> Conditions:
            return self.conditions(landmarks(first, stop), first)

        pieces = generate(
            self._painter.denoiser,
            conditions,
            Video(frames=count, shape=shape, seeds=(seed,)),
            process=process_named(self._config.process),
            settings=replace(settings, overlap=0),
            on_step=on_step,
        )
        for piece in pieces:
            with explained_memory(settings, shape), torch.inference_mode():
                made = self._decoded(piece.frames).float().cpu()[0]
                finished = [self._finish(index, picture) for index, picture in enumerate(made)]
            yield from finished

    def conditions(self, track: LandmarkTrack, first: int) -> Conditions:
        """Returns the conditions of the frames from `first` on that have these landmarks."""
        config, values = self._config, np.array(track.values)
        targets = torch.from_numpy(values)
        self._warped = self._warper.render(targets)
        self._moved = torch.stack([self._warper.mesh(one).landmarks for one in targets.float()])
        given: dict[str, Tensor] = {}
        if config.warped is not None:
            given["warped"] = self._warped_condition()
        if config.landmarks is not None:
            given["landmarks"] = self._drawn(self._moved.numpy())[None]
        if self._asked is not None and config.au is not None:
            given["au"] = self._action_units(first, len(values), config.au.margin)[None]
        if config.audio is not None and self._heard is not None:
            given["audio"] = self._speech(first, len(values), config.audio.window)[None]
            if config.audio.by_region:
                given["regions"] = self._regions().expand(1, len(values), -1, -1, -1)
        margin = config.au.margin if "au" in given and config.au is not None else 0
        moving: dict[str, Any] = {
            name: value.to(self._painter.denoiser.device) for name, value in given.items()
        }
        return Conditions(**moving, **self._still, au_margin=margin)

    def _still_conditions(self, portrait: Tensor) -> dict[str, Any]:
        config, size = self._config, self._painter.size_px
        painter = self._painter
        own = 2 * crops.cut(portrait.permute(1, 2, 0), self.frame, size)[None] - 1
        given: dict[str, Any] = {}
        with torch.no_grad():
            if config.reference is not None:
                picture = self._encoded(own[:, None])[:, 0]
                given["reference"] = painter.denoiser.reference_features(picture)
            if config.identity is not None and painter.image_encoder is not None:
                given["identity"] = painter.image_encoder.encode(own).to(painter.denoiser.device)
            if config.landmarks is not None:
                drawn = self._drawn(self._landmarks[None])
                given["landmarks_reference"] = drawn.to(self._painter.denoiser.device)
        return given

    def _warped_condition(self) -> Tensor:
        """[1, F, C + 1, H, W]: the warp, and 0 where it guesses: beyond the picture and in openings."""
        size = self._painter.size_px
        pictures = torch.stack([crops.cut(w.permute(1, 2, 0), self.frame, size) for w in self._warped])
        points = torch.from_numpy(crops.apply(self.frame.matrix(size), self._moved.numpy()[..., :2])).float()
        openings = torch.stack([holes(one, self._paste.crop_pixels) for one in points])
        valid = (self._paste.in_picture * (1 - openings))[:, None]
        encoded = self._encoded(2 * pictures[None] - 1)
        sides = (encoded.shape[-2], encoded.shape[-1])
        return torch.cat([encoded.cpu().float(), functional.adaptive_avg_pool2d(valid, sides)[None]], dim=2)

    def _drawn(self, landmarks: Floats) -> Tensor:
        """Drawings [F, 3, side, side] of the size that the model reads."""
        config = self._config
        side = self._painter.size_px
        if config.landmarks is not None:
            side = self._painter.side // config.patch * config.landmarks.downscale
        return draw_landmarks(landmarks, self.frame, size_px=side)

    def _action_units(self, first: int, count: int, margin: int) -> Tensor:
        """Numbers [F + 2 margin, A] or drawings; the first and the last frame stand for what lies beyond."""
        assert self._asked is not None and self._config.au is not None  # noqa: S101 - for the type checker
        rows = np.clip(np.arange(first - margin, first + count + margin), 0, self._asked.frames - 1)
        if self._numbers is not None:
            return self._numbers[rows]
        moved = action_units_to_landmarks(
            self._asked.replace(values=self._asked.values[rows]), self._landmarks, self._basis
        )
        form = "mesh" if self._config.au.form == "mesh" else "lines"
        return draw_landmarks(moved, self.frame, form=form, size_px=self._painter.size_px)

    def _speech(self, first: int, count: int, window: int) -> Tensor:
        assert self._heard is not None  # noqa: S101 - for the type checker
        around = torch.arange(first - window // 2, first + count + window // 2).clamp(0, len(self._heard) - 1)
        return windows_around(self._heard[around], window)[window // 2 : window // 2 + count]

    def _regions(self) -> Tensor:
        """Where the audio may act, [1, 1, 3, side, side]: beyond the face, on it, on the lips (Hallo)."""
        own = torch.from_numpy(crops.apply(self.frame.matrix(self._painter.size_px), self._landmarks[:, :2]))
        positions = self._paste.crop_pixels
        face = oval(own.float(), FACE_OVAL, 0.0, positions)
        lips = oval(own.float(), LIPS, LIP_MARGIN * eye_distance(own), positions)
        return torch.stack([1 - face, face * (1 - lips), lips])[None, None]

    def _encoded(self, pictures: Tensor) -> Tensor:
        latents = self._painter.latents
        return pictures if latents is None else latents.encode(pictures)

    def _decoded(self, sample: Tensor) -> Tensor:
        latents = self._painter.latents
        return sample.clamp(-1, 1) if latents is None else latents.decode(sample)

    def _finish(self, index: int, painted: Tensor) -> Frames:
        """The full-size frame of a painted square [3, S, S] in [-1, 1]."""
        warp, picture = self._warped[index].float(), (painted + 1) / 2
        if self._config.warped is None:
            result = self._paste.over(warp, 255 * picture, self._paste.border)
        else:
            before = crops.cut(self._warped[index].permute(1, 2, 0), self.frame, self._painter.size_px)
            changed = self._paste.onto(255 * (picture - before))
            result = warp.clone()
            rows, columns = self._paste.box
            mask = painted_mask(self._moved[index, :, :2], self._paste) * self._paste.border
            result[:, rows, columns] += mask * changed
        return result.clamp(0, 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _square(landmarks: Floats, portrait: Tensor, *, is_whole: bool) -> CropFrame:
    """The face with room for an open jaw; for a model that paints all, as much of the head as there is."""
    frame = drawing_frame(landmarks)
    if not is_whole:
        return frame
    x, y = frame.center_px
    room = 2 * min(x, y, portrait.shape[2] - x, portrait.shape[1] - y)
    return CropFrame(frame.center_px, max(frame.side_px, min(_HEAD * frame.side_px, room)))


def _sequence(asked: AUTrack, count: int) -> Tensor:
    """Numbers [T, A] in [0, 1] in the convention that a model of so many Action Units reads."""
    if count not in SEQUENCE_CONVENTIONS:
        known = ", ".join(f"{number} ({name})" for number, name in SEQUENCE_CONVENTIONS.items())
        raise WeightsError(f"the model reads {count} Action Units; what they mean is known for {known}")
    name = SEQUENCE_CONVENTIONS[count]
    full = np.array([channel.full for channel in find_convention(name).entries], dtype=np.float32)
    return torch.from_numpy(np.clip(np.nan_to_num(np.array(convert(asked, name).values)) / full, 0, 1))
