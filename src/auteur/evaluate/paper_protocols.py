"""Tables of the papers as protocols: videos of every row, their scores, and the published numbers."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FaceError, InputError, MediaError, UsageError
from auteur.evaluate.corpus import TestClip, of_people, read_corpus, spread_over
from auteur.evaluate.evaluation import Evaluation, evaluate_clips
from auteur.evaluate.pairing import Clip
from auteur.evaluate.performances import Driver, driver_of
from auteur.evaluate.protocol_run import Run, Step
from auteur.evaluate.protocols import Protocol, Row
from auteur.evaluate.published_tables import OwnRow, published_table
from auteur.evaluate.scoring import BASELINES, ClipScorer
from auteur.face.auteur_backend import AuteurBackend
from auteur.files import make_folder
from auteur.media import VideoReader
from auteur.signals import AUTrack
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings
from auteur.talking_head.talking_head import TalkingHead

COMPACT = "compact"
"""System that is scored where none is named."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PaperRun:
    """Settings of a run beyond the protocol's."""

    out: Path
    """Folder of the report; videos are kept in it."""
    systems: Mapping[str, str] = field(default_factory=dict[str, str])
    """Preset or folder of stages by the name of the system; none: the compact set."""
    device: str | None = None
    any_people: bool = False
    """Whether people other than the protocol's may be scored."""
    most_clips: int = 0
    """Number of clips, evenly spread over the corpus; 0: all."""
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further facts for the report's head."""
    on_frame: Step = None


def rows_of(protocol: Protocol, systems: Mapping[str, str]) -> list[tuple[str, Row, str]]:
    """Returns name, row and preset of everything that is scored.

    Raises:
        UsageError: No row of the protocol has one of the systems.
    """
    given = dict(systems) or {COMPACT: COMPACT}
    found: list[tuple[str, Row, str]] = []
    for row in protocol.rows:
        if row.system:
            found += [(row.name, row, given[row.system])] if row.system in given else []
            continue
        for name, preset in given.items():
            found.append((row.name if len(given) == 1 else f"{row.name}, {name}", row, preset))
    if not found:
        names = ", ".join(dict.fromkeys(row.system for row in protocol.rows))
        raise UsageError(
            f"--systems names {', '.join(given)}; the rows of {protocol.name} are for {names}: write one of "
            "these before =FOLDER"
        )
    return found


@dataclass(frozen=True, eq=False)
class TestSet:
    """The clips of a protocol."""

    clips: list[TestClip]
    """Scored."""
    pool: list[TestClip]
    """All of the same people, of which neutral portraits are taken."""
    notes: list[str]
    """Where they differ from the paper's."""

    __test__ = False


def test_set(protocol: Protocol, inputs: Sequence[Path], run: PaperRun) -> TestSet:
    """Returns the clips of a protocol.

    Raises:
        InputError: The corpus holds no usable clip, or lacks the protocol's people.
    """
    every = read_corpus(inputs, run.out / "corpus")
    chosen = of_people(every, protocol.people, any_people=run.any_people)
    clips = spread_over(chosen, run.most_clips)
    notes: list[str] = []
    if run.any_people and protocol.people:
        notes.append(f"people: any of the corpus, not the paper's {', '.join(protocol.people)}")
    if len(clips) < len(chosen):
        notes.append(f"clips: {len(clips)} of {len(chosen)}, evenly spread (--clips)")
    return TestSet(clips, chosen, notes)


def run_paper_videos(
    protocol: Protocol, inputs: Sequence[Path], run: PaperRun, scorer: Callable[[], ClipScorer]
) -> Evaluation:
    """Returns the scores of a protocol's rows, and the table beside the published one.

    Videos stay in `out`/videos, in one folder per row whose name has a hash of system and settings: a run
    that broke takes up what is there.

    Args:
        protocol: Of kind "paper_videos".
        inputs: Prepared corpora, or folders of videos.
        run: Systems, people and outputs.
        scorer: Builds the scorer of clips.

    Raises:
        UsageError: A system is unknown, or an option has no effect on it.
        InputError: The corpus cannot be used, or no clip can be scored.
        WeightsError: A system cannot be loaded.
    """
    rows = rows_of(protocol, run.systems)
    make_folder(run.out)
    chosen = test_set(protocol, inputs, run)
    clips = chosen.clips
    maker = _Maker(protocol, run, chosen)
    made: dict[str, dict[str, Path]] = {clip.name: {} for clip in clips}
    for name, row, preset in rows:
        for clip, path in maker.row(row, preset).items():
            made[clip][name] = path
    whole = [clip for clip in clips if len(made[clip.name]) == len(rows)]
    scored = [
        Clip(
            name=clip.name,
            person=clip.person,
            reference=clip.video,
            videos=made[clip.name],
            request=maker.requests.get(clip.name),
            emotion=clip.emotion,
        )
        for clip in whole
    ]
    if not scored:
        raise InputError(f"no clip has all rows of {protocol.name}; {'; '.join(maker.failures[:3])}")
    settings = {**{f"system of {name}": preset for name, _, preset in rows}, **run.notes}
    done = evaluate_clips(scored, scorer(), notes=chosen.notes, settings=settings, on_frame=run.on_frame)
    own = [OwnRow(name, done.summary[name]) for name in done.systems if name not in BASELINES]
    own += [OwnRow(name, done.summary[name]) for name in done.systems if name in BASELINES]
    table = published_table(protocol, own)
    return dataclasses.replace(done, tables=(table,), failures=(*maker.failures, *done.failures))


class _Maker:
    """Makes the videos of rows; what the clips give is read once for all rows."""

    def __init__(self, protocol: Protocol, run: PaperRun, chosen: TestSet) -> None:
        self._protocol, self._run = protocol, run
        self._clips, self._pool = chosen.clips, chosen.pool
        self._backend = AuteurBackend()
        self._drivers: dict[str, Driver] = {}
        self._portraits: dict[str, Picture] = {}
        self.requests: dict[str, AUTrack] = {}
        """Action Units that videos are to show, by clip: the first row's that has any."""
        self.failures: list[str] = []

    def row(self, row: Row, preset: str) -> dict[str, Path]:
        """Returns the video of every clip that could be made."""
        head = TalkingHead.from_pretrained(preset, device=self._run.device, backend=self._backend)
        folder = self._run.out / "videos" / f"{_slug(row.name)}-{_digest(row, head.models)}"
        make_folder(folder.parent)
        make_folder(folder)
        found: dict[str, Path] = {}
        for clip in self._clips:
            try:
                found[clip.name] = self._video(clip, row, head, folder)
            except (MediaError, FaceError, InputError) as error:
                line = f"{clip.name}, {row.name}: {error}"
                self.failures.append(line)
        return found

    def _video(self, clip: TestClip, row: Row, head: TalkingHead, folder: Path) -> Path:
        path, track = folder / f"{clip.name}.mp4", folder / f"{clip.name}.aus.json"
        wanted = None
        if not (path.is_file() and track.is_file()):
            wanted = self._made(clip, row, head, path)
            if wanted is not None:
                wanted.save(track, overwrite=True)
        elif self._run.on_frame is not None:
            self._run.on_frame()
        if clip.name not in self.requests and track.is_file():
            self.requests[clip.name] = wanted or AUTrack.load(track)
        return path

    def _made(self, clip: TestClip, row: Row, head: TalkingHead, path: Path) -> AUTrack | None:
        if path.is_file():  # without a track: the row specifies no Action Units
            return None
        driver = self._driver(clip, head)
        settings = Settings(
            route=row.route,
            head=0.0 if row.request == "truth" else 1.0,
            au_guidance=row.au_guidance,
            guidance_form=row.guidance_form,
        )
        video = head.perform(
            self._portrait(clip, driver), driver.speech, _request(clip, row, driver), settings
        )
        video.save(path, on_frame=lambda _: self._step())
        return video.au_track

    def _step(self) -> None:
        if self._run.on_frame is not None:
            self._run.on_frame()

    def _driver(self, clip: TestClip, head: TalkingHead) -> Driver:
        if clip.name not in self._drivers:
            reading = Run(
                protocol=self._protocol,
                head=head,
                backend=self._backend,
                videos=self._run.out,
                overwrite=False,
                on_frame=self._run.on_frame,
            )
            self._drivers[clip.name] = driver_of(clip.video, reading)
        return self._drivers[clip.name]

    def _portrait(self, clip: TestClip, driver: Driver) -> Picture:
        if self._protocol.portrait == "own":
            return driver.portrait
        if clip.person not in self._portraits:
            calm = [one for one in self._pool if one.person == clip.person and one.emotion == "neutral"]
            if not calm:
                raise InputError(
                    f"{clip.person} has no neutral clip to take the portrait from; add one, whose name or "
                    "record names neutral"
                )
            with VideoReader(calm[0].video) as reader:
                self._portraits[clip.person] = next(iter(reader)).image
        return self._portraits[clip.person]


def _request(clip: TestClip, row: Row, driver: Driver) -> PerformanceRequest:
    if row.request == "truth":
        return PerformanceRequest(track=driver.units)
    if row.request == "speech":
        return PerformanceRequest()
    if clip.emotion is None:
        raise InputError("the corpus states no emotion for it, which this row gives to the system")
    return PerformanceRequest(clip.emotion, intensity=row.intensity)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")[:40]


def _digest(row: Row, models: Mapping[str, str]) -> str:
    facts = json.dumps([dataclasses.asdict(row), sorted(models.items())], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:10]
