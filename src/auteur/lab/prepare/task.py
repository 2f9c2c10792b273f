"""A worker's task for one recording: every stage in turn, and one file with the results."""

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from auteur.errors import AuteurError, InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.face import crops
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceBackend
from auteur.files import atomic_path
from auteur.lab.corpora import Recording
from auteur.lab.data.archive import Member, json_line, npy, write_tar
from auteur.lab.prepare.clips import Clip, watch
from auteur.lab.prepare.crops import Framed, crop_videos, jpeg_of, squares
from auteur.lab.prepare.external_measurements import read_external
from auteur.lab.prepare.filters import FAILED, Rejection, judge_picture, judge_sound
from auteur.lab.prepare.frames import Picture, pictures_of
from auteur.lab.prepare.measures import FACE_STAGES, Subject
from auteur.lab.prepare.neutral import find_neutral, load_neutral, save_neutral
from auteur.lab.prepare.options import PrepareOptions
from auteur.lab.prepare.records import origin_of, relative, row_of
from auteur.lab.prepare.reference import Reference, most_neutral_frame, reference_of
from auteur.lab.prepare.sound import ClipSound, clip_sound, read_sound
from auteur.lab.prepare.spoken import sound_members, spoken_samples
from auteur.lab.prepare.stage_timer import StageTimer
from auteur.speech.features import CompactSpeechFeatures

OUTCOME = "outcome.json"
"""First member of an item's file: rows of the index and rejections."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One recording and its further inputs."""

    recording: Recording
    reference: Recording | None
    """Recording of its reference picture; None: itself."""
    rest: Path | None
    """File of `save_neutral` for the person, if the corpus has a neutral recording."""
    out: Path
    """The file to write."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A worker's result for an item; everything else is in the file that it wrote."""

    samples: int
    rejected: tuple[str, ...]
    """Reasons."""
    seconds: dict[str, float]
    """Stage → wall-clock seconds."""
    trouble: str | None = None
    """Reason why the file could not be written, which stops the whole run."""


@dataclass
class Models:
    """All models, loaded once per worker."""

    backend: FaceBackend = field(default_factory=AuteurBackend)
    encoder: CompactSpeechFeatures = field(default_factory=CompactSpeechFeatures.shipped)
    space: CompactExpressionSpace = field(default_factory=CompactExpressionSpace.shipped)


@dataclass(frozen=True)
class NeutralTask:
    """Finds people at rest; an item is (recordings to try, file to write)."""

    def start(self) -> Callable[[tuple[tuple[Recording, ...], Path]], str | None]:
        """Loads the tracker."""
        _one_thread()
        backend = AuteurBackend()

        def find(item: tuple[tuple[Recording, ...], Path]) -> str | None:
            candidates, path = item
            try:
                save_neutral(path, find_neutral(candidates, backend))
            except InputError as error:
                return str(error)
            return None

        return find


@dataclass(frozen=True)
class PrepareTask:
    """Makes samples of recordings."""

    options: PrepareOptions
    folder: Path
    """Root of the corpus: records name files below it."""

    def start(self) -> Callable[[Item], Done]:
        """Loads the models."""
        _one_thread()
        preparer = Preparer(self.options, self.folder, Models())
        return preparer.finish


class Preparer:
    """Runs all stages with loaded models."""

    def __init__(self, options: PrepareOptions, folder: Path, models: Models) -> None:
        self._options, self._folder, self._models = options, folder, models

    def finish(self, item: Item) -> Done:
        """Makes samples and writes the item's file, which also holds the problems of the recording."""
        timer = StageTimer()
        recording = item.recording
        made: list[tuple[dict[str, Any], list[Member]]] = []
        try:
            made, rejections = self.make(item, timer)
        except AuteurError as error:
            rejections = [Rejection(recording.key, FAILED, str(error))]
        except Exception as error:  # a bad item must never stop the run; it is reported with its error
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            rejections = [Rejection(recording.key, FAILED, f"internal error: {cause}")]
        with timer.stage("write"):
            trouble = write_item(item, self._folder, made, rejections)
        return Done(
            samples=len(made),
            rejected=tuple(rejection.reason for rejection in rejections),
            seconds=dict(timer.seconds),
            trouble=trouble,
        )

    def make(
        self, item: Item, timer: StageTimer
    ) -> tuple[list[tuple[dict[str, Any], list[Member]]], list[Rejection]]:
        """Returns (row of the index, members) of every sample, and what was rejected.

        Raises:
            AuteurError: The recording, or something that belongs to it, cannot be read.
        """
        recording, options = item.recording, self._options
        if recording.medium == "sound":
            return spoken_samples(recording, self._folder, options, self._models.encoder, timer)
        watched = watch(recording, self._models.backend, timer, longest_sec=options.longest_seconds)
        if not watched.clips:
            return [], [Rejection(recording.key, "no_face", watched.problem)]
        judged = [(clip, judge_picture(clip, options)) for clip in watched.clips]
        rejections = [objection for _, objection in judged if objection is not None]
        clips = [clip for clip, objection in judged if objection is None]
        if not clips:
            return [], rejections
        with timer.stage("speech"):
            whole = read_sound(recording)
        heard: list[tuple[Clip, ClipSound | None]] = []
        for clip in clips:
            sound = None if whole is None else clip_sound(clip, whole, self._models.encoder, timer)
            objection = judge_sound(clip, sound, options)
            if objection is None:
                heard.append((clip, None if sound is None or sound.is_silent else sound))
            else:
                rejections.append(objection)
        return list(self._samples(item, heard, timer)), sorted(rejections, key=lambda each: each.key)

    def _samples(
        self, item: Item, clips: list[tuple[Clip, ClipSound | None]], timer: StageTimer
    ) -> Iterator[tuple[dict[str, Any], list[Member]]]:
        if not clips:
            return
        with timer.stage("others"):
            others = read_external(item.recording)
            rest = None if item.rest is None else load_neutral(item.rest)
        framed = [
            Framed(clip, squares(clip.landmarks, self._options), most_neutral_frame(clip))
            for clip, _ in clips
        ]
        with closing(pictures_of(item.recording)) as pictures:
            made = crop_videos(timer.each("read", pictures), framed, self._options, timer)
            for (_, sound), each, (video, kept) in zip(clips, framed, made, strict=True):
                subject = Subject(
                    clip=each.clip, squares=each.squares, size_px=self._options.size_px, rest=rest,
                    others=others, space=self._models.space,
                )  # fmt: skip
                with timer.stage("reference"):
                    reference = self._reference(item, each, kept)
                yield self._sample(item, subject, sound, video, reference, timer)

    def _reference(self, item: Item, framed: Framed, kept: Picture) -> Reference:
        if item.reference is not None:
            return reference_of(item.reference, self._models.backend, self._options)
        matrix = framed.squares[framed.kept].matrix(self._options.size_px)
        landmarks = crops.apply(matrix, framed.clip.landmarks[framed.kept])
        return Reference(kept, landmarks, item.recording.key, framed.clip.first + framed.kept)

    def _sample(
        self,
        item: Item,
        subject: Subject,
        sound: ClipSound | None,
        video: bytes,
        reference: Reference,
        timer: StageTimer,
    ) -> tuple[dict[str, Any], list[Member]]:
        clip = subject.clip
        row = row_of(clip, sound)
        record = {**row, **origin_of(item.recording, clip, self._folder), "size_px": subject.size_px}
        members = {"mp4": video}
        for name, stage in FACE_STAGES.items():
            with timer.stage(name):
                numbers = stage(subject)
                members |= {f"{member}.npy": npy(values) for member, values in numbers.arrays.items()}
                record |= numbers.notes
        if sound is not None:
            members |= sound_members(sound.waveform, sound.analysis, sound.prosody)
        members["reference.jpg"] = jpeg_of(reference.picture)
        members["reference.landmarks.npy"] = npy(reference.landmarks)
        record["reference"] = {"key": reference.key, "frame": reference.frame}
        members["json"] = json_line(record)
        row["bytes"] = sum(len(content) for content in members.values())
        return row, [(f"{clip.key}.{name}", content) for name, content in sorted(members.items())]


def write_item(
    item: Item, folder: Path, made: list[tuple[dict[str, Any], list[Member]]], rejections: list[Rejection]
) -> str | None:
    """Writes the results of an item, whole or not at all; returns the reason if that failed."""
    outcome = {
        "samples": [row for row, _ in made],
        "rejected": [
            {
                "key": each.key,
                "recording": item.recording.key,
                "person": item.recording.person,
                "video": relative(item.recording.video, folder),
                "reason": each.reason,
                "detail": each.detail,
            }
            for each in rejections
        ],
    }
    members = [(OUTCOME, json_line(outcome)), *(member for _, members in made for member in members)]
    content = io.BytesIO()
    write_tar(content, members)
    try:
        with atomic_path(item.out, overwrite=True) as temporary:
            temporary.write_bytes(content.getbuffer())
    except InputError as error:
        return str(error)
    return None


def _one_thread() -> None:
    torch.set_num_threads(1)  # as many workers as cores; and sums come out the same everywhere
