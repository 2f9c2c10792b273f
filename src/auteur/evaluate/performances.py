"""Protocols that make their own videos with the compact system and measure them at once."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur import provenance
from auteur.errors import FaceError, InputError, MediaError, UsageError
from auteur.evaluate.control import UNITS
from auteur.evaluate.emotion import PrototypeClassifier
from auteur.evaluate.evaluation import Evaluation, Table, evaluate_clips
from auteur.evaluate.pairing import Clip, person_of, sound_of
from auteur.evaluate.protocol_run import Run, Step
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.scoring import ClipScorer
from auteur.evaluate.stress_protocols import long_audio, noise_and_silence
from auteur.evaluate.sweeps import (
    FRAMES_PER_LEVEL,
    SWEPT_EMOTIONS,
    EmotionResponse,
    emotion_responses,
    emotion_staircase,
    shown_intensities,
    unit_responses,
    unit_staircase,
)
from auteur.evaluate.views import Observation, observe
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.pose import head_pose
from auteur.facs import ACTION_UNITS
from auteur.files import make_folder
from auteur.media import VIDEO_SUFFIXES, VideoReader, read_speech, write_audio, write_image
from auteur.motion.idle_motion import POSE_CONVENTION
from auteur.signals import AUTrack, PoseTrack, Waveform, without_holes
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.talking_head import MODELS, Settings, TalkingHead
from auteur.weights import version

Picture = NDArray[np.uint8]
Floats = NDArray[np.floating]

STILL = Settings(head=0.0, blinks=False, gaze=False)
TRUE_UNITS, SPEECH_ONLY = "auteur, true AUs", "auteur, speech only"
UNITS_AND_HEAD, SPOKEN_LIPS = "auteur, true AUs and head", "auteur, true AUs, lips by speech"

_PORTRAIT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_STAIRCASE = f"a staircase of levels, {FRAMES_PER_LEVEL} frames each, tracked and smoothed as a whole"


def run_protocol(
    protocol: Protocol,
    inputs: Sequence[Path],
    out: Path,
    *,
    scorer: Callable[[], ClipScorer],
    speech: Path | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    on_frame: Step = None,
) -> Evaluation:
    """Returns the results of a protocol that makes its own videos; they are kept in `out`/videos.

    Args:
        protocol: Any but those of kind "pairs".
        inputs: Real videos (self_reenactment, cross_identity) or portraits (the others), or folders of them.
        out: The report's folder.
        scorer: Builds the scorer of clips, if the protocol needs it.
        speech: Recording, for those that need one.
        settings: More lines for the report's head.
        overwrite: Whether videos may be replaced.
        on_frame: Called for each frame made or scored.

    Raises:
        UsageError: The protocol needs speech and there is none.
        InputError: The inputs hold nothing usable.
    """
    folder = out / "videos"
    make_folder(out)
    make_folder(folder)
    run = Run(
        protocol=protocol, head=TalkingHead.from_pretrained(), backend=AuteurBackend(), videos=folder,
        overwrite=overwrite, on_frame=on_frame,
    )  # fmt: skip
    models = ", ".join(f"{name} {version(name)}" for name in MODELS)
    described = {"system": f"auteur compact ({models})", **(settings or {})}
    if protocol.kind in ("self_reenactment", "cross_identity"):
        real = gathered(inputs, VIDEO_SUFFIXES, "video")
        make = self_reenactment if protocol.kind == "self_reenactment" else cross_identity
        clips, failures = make(run, {path: person_of(path.stem) for path in real})
        done = evaluate_clips(clips, scorer(), settings=described, on_frame=on_frame)
        return dataclasses.replace(done, failures=(*failures, *done.failures))
    portraits = gathered(inputs, _PORTRAIT_SUFFIXES, "portrait")
    if protocol.kind in ("long_audio", "noise_and_silence"):
        if speech is None:
            raise UsageError(f"--protocol {protocol.name} needs --speech, a recording of a voice")
        make_tables = long_audio if protocol.kind == "long_audio" else noise_and_silence
        tables = tuple(make_tables(run, portraits, speech))
        missing: tuple[str, ...] = ()
    else:
        is_of_units = protocol.kind == "au_sweep"
        shown, missing = swept(run, portraits, unit_staircase() if is_of_units else emotion_staircase())
        tables = (au_table(shown) if is_of_units else emotion_table(shown),)
    return Evaluation(
        protocol, PrototypeClassifier.name, (), tables=tables, settings=described, failures=missing
    )


def gathered(inputs: Sequence[Path], suffixes: tuple[str, ...], what: str) -> list[Path]:
    """Returns the files among inputs and in the folders among them.

    Raises:
        InputError: One is missing, or a folder holds none.
    """
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
            if not inside:
                raise InputError(
                    f"{str(path)!r} holds no {what} ({', '.join(suffixes)}); name a folder that does"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{str(path)!r} does not exist; give a {what} or a folder of them")
    return found


@dataclass(frozen=True)
class Driver:
    """Inputs from a real video that drive a portrait."""

    portrait: Picture
    speech: Waveform
    units: AUTrack
    """All its Action Units, those of the mouth included, convention "facs"."""
    head: PoseTrack
    """Its head pose relative to the first frame, convention "relative_canonical_mm"."""


def driver_of(video: Path, run: Run) -> Driver:
    """Returns portrait, speech and Action Units of a real video.

    Raises:
        MediaError: It cannot be read or has no sound.
        FaceError: It shows no face.
    """
    longest, rate = run.protocol.longest_sec, run.protocol.fps
    speech = read_speech(sound_of(video))
    first: Picture | None = None

    with VideoReader(video) as reader:

        def frames():
            nonlocal first
            for frame in reader.frames_at(rate):
                if longest and frame.index >= longest * rate:
                    return
                first = frame.image if first is None else first
                run.step()
                yield frame.image

        seen = observe(frames(), rate, run.backend)
    if first is None:
        raise MediaError(f"{str(video)!r} holds no frame; give a video that is not empty")
    seconds = Fraction(len(seen.landmarks)) / rate
    return Driver(first, speech.slice(0, min(speech.duration_sec, seconds)), *_driving(seen))


def _driving(seen: Observation) -> tuple[AUTrack, PoseTrack]:
    """Returns all Action Units of a video, and its head pose relative to the first frame; gaps bridged."""
    track = seen.action_units(seen.neutral())
    pose = head_pose(seen.landmarks[seen.seen])
    moved = np.full((len(seen.landmarks), 6), np.nan, dtype=np.float32)
    moved[seen.seen, :3] = pose.angles_rad - pose.angles_rad[0]
    moved[seen.seen, 3:] = (pose.shift - pose.shift[0]) / pose.scale[:, None]
    moved[:, 5] = 0  # depth is relative
    head = PoseTrack(values=moved, rate=seen.rate, convention=POSE_CONVENTION)
    return without_holes(track), without_holes(head)


def self_reenactment(run: Run, people: Mapping[Path, str]) -> tuple[list[Clip], list[str]]:
    """Makes each real video again from its first frame, from its Action Units or its speech.

    Rows by their inputs: all Action Units, the mouth's too, with a still head;
    those and the head; all but the lips, which the speech moves; the speech alone, as `auteur generate`
    does without options.

    Returns:
        The clips, and a sentence about each video that could not be used.
    """
    clips: list[Clip] = []
    failures: list[str] = []
    for video, person in people.items():
        try:
            driver = driver_of(video, run)
            made = {
                name: _perform(run, driver, driver, wanted, f"{video.stem}.{suffix}", settings)
                for name, (suffix, wanted, settings) in _requests_of(driver).items()
            }
        except (MediaError, FaceError) as error:
            failures.append(f"{video.stem}: {error}")
            continue
        clips.append(Clip(name=video.stem, person=person, reference=video, videos=made))
    return clips, failures


def cross_identity(run: Run, people: Mapping[Path, str]) -> tuple[list[Clip], list[str]]:
    """Makes each person's portrait perform the next person's speech and Action Units.

    Returns:
        The clips, whose reference is the driving video, and a sentence about each pair left out.
    """
    clips: list[Clip] = []
    failures: list[str] = []
    drivers: dict[Path, Driver] = {}
    for video in people:
        try:
            drivers[video] = driver_of(video, run)
        except (MediaError, FaceError) as error:
            failures.append(f"{video.stem}: {error}")
    videos = list(drivers)
    for i, video in enumerate(videos):
        others = [v for v in videos[i + 1 :] + videos[:i] if people[v] != people[video]]
        if not others:
            failures.append(f"{video.stem}: there is no other person to drive it; give videos of two people")
            continue
        name = f"{video.stem}.driven_by.{others[0].stem}"
        driver = drivers[others[0]]
        wanted = PerformanceRequest(track=driver.units)
        made = _perform(run, drivers[video], driver, wanted, name, Settings())
        clips.append(
            Clip(name=name, person=people[video], reference=others[0], videos={TRUE_UNITS: made},
                 portrait=drivers[video].portrait)
        )  # fmt: skip
    return clips, failures


def _requests_of(driver: Driver) -> dict[str, tuple[str, PerformanceRequest, Settings]]:
    """Returns suffix of the file, request and settings by the name of the row."""
    units, still_head = driver.units, Settings(head=0.0)
    with_head = PerformanceRequest(track=units, head_track=driver.head)
    spoken = PerformanceRequest(track=units, lips="speech")
    return {
        TRUE_UNITS: ("true_units", PerformanceRequest(track=units), still_head),
        UNITS_AND_HEAD: ("units_and_head", with_head, Settings()),
        SPOKEN_LIPS: ("spoken_lips", spoken, still_head),
        SPEECH_ONLY: ("speech_only", PerformanceRequest(), Settings()),
    }


def _perform(
    run: Run, shown: Driver, speaking: Driver, wanted: PerformanceRequest, name: str, settings: Settings
) -> Path:
    """Generates one video: the portrait of `shown`, the speech of `speaking`."""
    path = run.videos / f"{name}.mp4"
    with tempfile.TemporaryDirectory() as folder:
        portrait, speech = Path(folder) / "portrait.png", Path(folder) / "speech.wav"
        write_image(portrait, shown.portrait, mark=provenance.Mark(watermark=False))
        write_audio(speech, speaking.speech, mark=provenance.Mark(watermark=False))
        video = run.head.perform(portrait, speech, wanted, settings)
        video.save(path, overwrite=run.overwrite, on_frame=run.step)
    return path


def still_frames(run: Run, portrait: Path, requested: PerformanceRequest, frames: int) -> Iterator[Picture]:
    """Yields frames of a portrait that is silent and still except for the request."""
    with tempfile.TemporaryDirectory() as folder:
        silence = Path(folder) / "silence.wav"
        samples = np.zeros(frames * 640, dtype=np.float32)
        write_audio(silence, Waveform(samples=samples, rate_hz=16_000), mark=provenance.Mark(watermark=False))
        for frame in run.head.perform(portrait, silence, requested, STILL).frames():
            run.step()
            yield frame


def swept(run: Run, portraits: Sequence[Path], track: AUTrack) -> tuple[list[Floats], tuple[str, ...]]:
    """Returns the measured staircase of every portrait [steps, 17], and the failures of the others.

    Raises:
        InputError: No portrait can be measured.
    """
    shown: list[Floats] = []
    failures: list[str] = []
    for path in portraits:
        frames = still_frames(run, path, PerformanceRequest(track=track), track.frames)
        try:
            shown.append(shown_intensities(frames, run.backend, name=path.name))
        except (FaceError, MediaError) as error:
            failures.append(f"{path.name}: {error}")
    if not shown:
        raise InputError(f"no portrait could be measured; {failures[0]}")
    return shown, tuple(failures)


def au_table(shown: Sequence[Floats]) -> Table:
    """Returns the table of `unit_staircase`: means over the portraits."""
    by_portrait = [unit_responses(one) for one in shown]
    rows: list[tuple[object, ...]] = []
    for unit in UNITS:
        found = [responses[unit] for responses in by_portrait]
        worst = max(found, key=lambda r: abs(r.worst_change))
        rows.append(
            (
                f"AU{unit} {ACTION_UNITS[unit].name}",
                float(np.mean([r.rank_correlation for r in found])),
                float(np.mean([r.is_monotonic for r in found])),
                float(np.mean([r.own_change for r in found])),
                float(np.mean([r.cross_talk for r in found])),
                f"AU{worst.worst_unit} {worst.worst_change:+.2f}",
            )
        )
    return Table(
        title="Action Unit sweep",
        columns=("unit", "rank correlation", "monotonic", "own change", "cross-talk", "worst elsewhere"),
        rows=tuple(rows),
        about=f"{len(shown)} portraits, {_STAIRCASE}. Own change: intensity at 1 less that at 0. "
        "Cross-talk: mean absolute change of the units of other regions. Measured with the tracker of this "
        "package, relative to the same portrait without a request.",
    )


def emotion_table(shown: Sequence[Floats]) -> Table:
    """Returns the table of `emotion_staircase`: means over the portraits."""
    found: list[dict[str, EmotionResponse]] = [emotion_responses(one) for one in shown]
    rows = [
        (
            emotion,
            float(np.mean([one[emotion].rank_correlation for one in found])),
            float(np.mean([one[emotion].is_monotonic for one in found])),
            float(np.mean([one[emotion].reached for one in found])),
            float(np.mean([one[emotion].others for one in found])),
            float(np.mean([one[emotion].named == emotion for one in found])),
        )
        for emotion in SWEPT_EMOTIONS
    ]
    return Table(
        title="Emotion sweep",
        columns=("emotion", "rank correlation", "monotonic", "reached", "other units", "named"),
        rows=tuple(rows),
        about=f"{len(shown)} portraits, {_STAIRCASE}. Reached: mean change of the prototype's units as a "
        "share of the prototype's. Other units: mean absolute change of the rest. Named: share of portraits "
        "whose requested emotion the prototype classifier predicts; it has the same tables, so this shows "
        "that the units arrive and not that people see the emotion.",
    )
