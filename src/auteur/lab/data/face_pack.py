r"""Compact footage for training the denoiser: aligned faces and measurements.

    python -m auteur.lab.data.face_pack --clips clips/manifest.csv --out PACK

A clip becomes one or more pieces, each a video of a face that fills it (NAME.mp4, 25 frames per second) and
its measurements (NAME.npz): landmarks, Action Units, expression vectors, speech features. A piece ends where
the face is lost or the picture cuts. `read_piece` gives both back.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.progress import track

from auteur.errors import AuteurError, InputError, MediaError
from auteur.expression.space import CompactExpressionSpace
from auteur.face import crops
from auteur.face.action_units import action_units, neutral_by_region
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceReading
from auteur.face.crops import CropFrame
from auteur.face.pose import without_pose
from auteur.face.smoothing import smooth_readings
from auteur.face.tracker import FaceTracker
from auteur.facs import convert
from auteur.files import atomic_path
from auteur.lab.data.encoded_video import encode_video
from auteur.lab.data.splits import is_held_out
from auteur.media import VideoReader, read_speech
from auteur.signals import without_holes
from auteur.speech.features import CompactSpeechFeatures, frames_at

Floats = NDArray[np.floating]

RATE = Fraction(25)
CROP_TO_FACE = 1.25
"""Side of the video in face sizes."""
_STEP_PX = 1 / 16
"""Resolution of the landmarks in pixels."""
_FOLLOW_FRAMES = 12
"""Smoothing of the square in seconds: the video stays still where the head does."""
_JUMP = 0.25
"""Motion between frames, in face sizes, from which it is another face, or the same one after a cut."""


@dataclass(frozen=True)
class FacePackRecipe:
    """Paths of the clips, and the part of them to keep."""

    clips: Path
    """CSV with the columns file, wav (relative to its parent folder), identity and speech."""
    out: Path
    size_px: int = 256
    longest_sec: float = 14.0
    """Seconds of one clip; many people are better than long clips."""
    shortest_sec: float = 0.8
    quality_crf: int = 19


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """A face without a cut, T frames at 25 per second."""

    name: str
    person: str
    pictures: NDArray[np.uint8]
    """[T, S, S, 3]."""
    landmarks: NDArray[np.float32]
    """[T, 478, 3] px of the pictures."""
    units: NDArray[np.float32]
    """Action Units in [0, 1], convention "feafa24", [T, 24]."""
    expression: NDArray[np.float32]
    """Vectors of the compact space, [T, 50]."""
    speech: NDArray[np.float32] | None
    """Features of the compact encoder, [T, 80]; None without speech."""

    @property
    def is_held_out(self) -> bool:
        """Whether its person is kept for tests."""
        return is_held_out(self.person)


def write_piece(folder: Path, piece: Piece, *, quality_crf: int = 19) -> None:
    """Writes both files of a piece, the measurements last."""
    with atomic_path(folder / f"{piece.name}.mp4", overwrite=True) as temporary:
        temporary.write_bytes(encode_video(piece.pictures, rate=RATE, crf=quality_crf))
    steps = np.round(piece.landmarks / _STEP_PX).astype(np.int16)
    held = {
        "person": np.array(piece.person),
        "landmark_steps": np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1])),
        "units": np.round(piece.units * 255).astype(np.uint8),
        "expression": piece.expression.astype(np.float16),
    }
    if piece.speech is not None:
        held["speech"] = piece.speech.astype(np.float16)
    with atomic_path(folder / f"{piece.name}.npz", overwrite=True) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **held)


def read_piece(path: Path) -> Piece:
    """Reads a piece by its NAME.npz.

    Raises:
        InputError: It is no piece, or its files do not belong together.
    """
    try:
        with np.load(path) as held:
            steps = np.cumsum(held["landmark_steps"], axis=0, dtype=np.int16)
            units, expression = held["units"] / np.float32(255), held["expression"].astype(np.float32)
            speech = held["speech"].astype(np.float32) if "speech" in held.files else None
            person = str(held["person"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{str(path)!r} is not a piece of a face pack: {error}; make the pack again"
        ) from error
    with VideoReader(path.with_suffix(".mp4")) as video:
        pictures = np.stack([frame.image for frame in video])
    if len(pictures) != len(steps):
        raise InputError(f"{path.stem!r} has {len(pictures)} pictures, but {len(steps)} rows of landmarks")
    return Piece(
        name=path.stem,
        person=person,
        pictures=pictures,
        landmarks=steps.astype(np.float32) * _STEP_PX,
        units=units,
        expression=expression,
        speech=speech,
    )


class Packer:
    """Turns clips into pieces."""

    def __init__(self, recipe: FacePackRecipe) -> None:
        self._recipe = recipe
        self._backend, self._space = AuteurBackend(), CompactExpressionSpace.shipped()
        self._speech = CompactSpeechFeatures.shipped()

    def pieces(self, video: Path, *, person: str, sound: Path | None = None) -> Iterator[Piece]:
        """Yields the pieces of a clip.

        Args:
            video: The clip.
            person: Name of the person.
            sound: File of its speech; None: it has none that belongs to the picture.

        Raises:
            MediaError: The clip or its sound cannot be read.
        """
        pictures, readings = self._tracked(video)
        speech = None
        if sound is not None:
            wave = read_speech(sound)
            speech = self._speech.encode(wave, RATE).numpy()
            speech = np.pad(speech, ((0, max(0, len(pictures) - frames_at(wave, RATE))), (0, 0)), "edge")
        for number, span in enumerate(_followed_runs(readings)):
            if span.stop - span.start < self._recipe.shortest_sec * RATE:
                continue
            seen = [reading for reading in readings[span] if reading is not None]
            landmarks = np.stack([reading.landmarks for reading in seen])
            blendshapes = np.stack([reading.blendshapes for reading in seen])
            hub = action_units(
                landmarks, blendshapes, rate=RATE, neutral=neutral_by_region(landmarks, blendshapes)
            )
            aligned, moved = self._aligned(pictures[span], landmarks)
            yield Piece(
                name=f"{video.stem}_{number}",
                person=person,
                pictures=aligned,
                landmarks=moved,
                units=np.clip(convert(without_holes(hub), "feafa24").values, 0, 1).astype(np.float32),
                expression=self._space.of_unknown_people(without_pose(landmarks)).astype(np.float32),
                speech=None if speech is None else speech[span],
            )

    def _tracked(self, video: Path) -> tuple[list[NDArray[np.uint8]], list[FaceReading | None]]:
        pictures: list[NDArray[np.uint8]] = []
        tracker = FaceTracker(self._backend)

        def raw() -> Iterator[FaceReading | None]:
            with VideoReader(video) as frames:
                for frame in frames.frames_at(RATE):
                    if frame.index >= self._recipe.longest_sec * RATE:
                        return
                    pictures.append(frame.image)
                    yield tracker.step(frame.image)

        readings = list(smooth_readings(raw()))
        return pictures, readings

    def _aligned(
        self, pictures: list[NDArray[np.uint8]], landmarks: Floats
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        size = self._recipe.size_px
        boxes = [crops.frame_of_landmarks(one, crop_to_face=CROP_TO_FACE) for one in landmarks]
        side = float(np.median([box.side_px for box in boxes]))
        middles = (landmarks[..., :2].min(1) + landmarks[..., :2].max(1)) / 2
        around = np.pad(middles, ((_FOLLOW_FRAMES, _FOLLOW_FRAMES), (0, 0)), "edge")
        weights = np.hanning(2 * _FOLLOW_FRAMES + 3)[1:-1]
        slow = np.stack([np.convolve(axis, weights / weights.sum(), "valid") for axis in around.T], axis=1)
        frames = [CropFrame((float(x), float(y)), side) for x, y in slow]
        cut = [crops.cropped(picture, frame, size) for picture, frame in zip(pictures, frames, strict=True)]
        moved = [crops.apply(f.matrix(size), one) for f, one in zip(frames, landmarks, strict=True)]
        return np.stack(cut), np.stack(moved).astype(np.float32)


def _followed_runs(readings: list[FaceReading | None]) -> Iterator[slice]:
    """Yields the runs of frames in which one face is followed and never jumps.

    A cut between two faces at the same place goes unnoticed; `lab.prepare.shots` finds cuts on the pictures.
    """
    first: int | None = None
    for index, (before, now) in enumerate(zip([None, *readings], [*readings, None], strict=True)):
        goes_on = before is not None and now is not None and _is_near(before, now)
        if not goes_on and first is not None:
            yield slice(first, index)
            first = None
        if now is not None and not goes_on:
            first = index


def _is_near(before: FaceReading, now: FaceReading) -> bool:
    moved = np.median(np.linalg.norm(now.landmarks[:, :2] - before.landmarks[:, :2], axis=1))
    return bool(moved < _JUMP * before.size_px)


def main(recipe: FacePackRecipe) -> None:
    """Makes the pack; clips that are there already are left alone, bad ones are named and skipped."""
    torch.set_num_threads(1)
    recipe.out.mkdir(parents=True, exist_ok=True)
    folder = recipe.clips.parent.parent
    with recipe.clips.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    packer = Packer(recipe)
    for row in track(rows, description="pack"):
        video = folder / row["file"]
        if any(recipe.out.glob(f"{video.stem}_*.npz")):
            continue
        sound = folder / row["wav"] if row["wav"] else video
        try:
            for piece in packer.pieces(
                video, person=row["identity"], sound=sound if row["speech"] == "yes" else None
            ):
                write_piece(recipe.out, piece, quality_crf=recipe.quality_crf)
        except (MediaError, AuteurError) as error:
            print(f"{video.name}: {error}")  # noqa: T201 - a recipe talks to its user
    size = sum(path.stat().st_size for path in recipe.out.iterdir()) / 2**20
    print(f"{len(list(recipe.out.glob('*.npz')))} pieces, {size:.1f} MiB")  # noqa: T201


if __name__ == "__main__":
    main(tyro.cli(FacePackRecipe))
