"""AUHead's table 1 as a protocol: Action Units that models write from speech against those of the face."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.errors import FaceError, InputError, MediaError, UsageError
from auteur.evaluate.au_scores import au_scores
from auteur.evaluate.corpus import TestClip
from auteur.evaluate.emotion import PrototypeClassifier
from auteur.evaluate.evaluation import Evaluation
from auteur.evaluate.pairing import sound_of
from auteur.evaluate.paper_protocols import COMPACT, PaperRun, test_set
from auteur.evaluate.protocols import Protocol, Row
from auteur.evaluate.published_tables import OwnRow, published_table
from auteur.evaluate.statistics import Estimate, bootstrap
from auteur.evaluate.views import observe
from auteur.expression.acoustic_features import acoustic_features
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.chunks import CHUNK_FRAMES
from auteur.expression.audio_lm.compact import ROWS_PER_FRAME, AudioLM
from auteur.expression.audio_lm.constrained_decoder import ConstrainedDecoder, whole_answer
from auteur.expression.audio_lm.pretrained import PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order
from auteur.expression.regressor import Regressor
from auteur.expression.speech_to_au import NEUTRAL
from auteur.face.auteur_backend import AuteurBackend
from auteur.facs import EMOTIONS
from auteur.files import make_folder
from auteur.media import VideoReader, read_speech
from auteur.signals import Waveform
from auteur.talking_head.stages import audio_lm_of
from auteur.weights import load_model, path_of

Floats = NDArray[np.floating]
Answered = tuple[Floats, str | None]
"""Intensities [T, 24] at 5 frames per second, and the predicted emotion."""
Model = Callable[[Waveform, Order, str | None], Answered]
"""(speech, order, emotion given) → the answer."""

REGRESSOR = "regressor"
_METRICS = ("recall", "precision", "iou", "f1", "active_error")


@dataclass(frozen=True, kw_only=True, eq=False)
class SpokenClip:
    """A test clip as this protocol reads it."""

    clip: TestClip
    speech: Waveform
    """At most as long as a model writes at once, 8 s."""
    truth: Floats
    """[T, 24] at 5 frames per second."""


def run_paper_units(protocol: Protocol, inputs: Sequence[Path], run: PaperRun) -> Evaluation:
    """Returns the scores of every row, beside the published ones.

    Args:
        protocol: Of kind "paper_units".
        inputs: Prepared corpora, or folders of videos with sound.
        run: `systems` names folders with `audio_lm/`, model folders or weights files; none: the shipped
            model.

    Raises:
        UsageError: The models of a system cannot be used.
        InputError: The corpus cannot be used.
        WeightsError: A model cannot be loaded.
    """
    make_folder(run.out)
    chosen = test_set(protocol, inputs, run)
    spoken: list[SpokenClip] = []
    failures: list[str] = []
    for clip in chosen.clips:
        try:
            spoken.append(spoken_clip(clip, protocol, run))
        except (MediaError, FaceError, InputError) as error:
            failures.append(f"{clip.name}: {error}")
    if not spoken:
        raise InputError(f"no clip can be scored; {failures[0] if failures else 'there are none'}")
    own: list[OwnRow] = []
    given = dict(run.systems) or {COMPACT: COMPACT}
    for system, preset in given.items():
        model = model_of(preset)
        for row in protocol.rows:
            if not row.system:
                name = row.name if len(given) == 1 else f"{row.name}, {system}"
                own.append(OwnRow(name, scores_of(model, row, protocol, spoken)))
    controls = [row for row in protocol.rows if row.system == REGRESSOR]
    own += [OwnRow(row.name, scores_of(regressor(), row, protocol, spoken)) for row in controls]
    settings = {f"system {name}": preset for name, preset in given.items()} | dict(run.notes)
    settings |= {"clips": f"{len(spoken)} of {len({one.clip.person for one in spoken})} people"}
    return Evaluation(
        protocol,
        PrototypeClassifier.name,
        (),
        notes=tuple(chosen.notes),
        failures=tuple(failures),
        tables=(published_table(protocol, own),),
        settings=settings,
    )


def spoken_clip(clip: TestClip, protocol: Protocol, run: PaperRun) -> SpokenClip:
    """Returns speech and measured Action Units of a clip.

    Raises:
        MediaError: It cannot be read or has no sound.
        FaceError: It shows no face.
    """
    longest = CHUNK_FRAMES / codec.CODEC_RATE
    speech = read_speech(sound_of(clip.video))
    speech = speech.slice(0, min(speech.duration_sec, longest))
    with VideoReader(clip.video) as reader:

        def frames():
            for frame in reader.frames_at(protocol.fps):
                if frame.index >= longest * protocol.fps:
                    return
                if run.on_frame is not None:
                    run.on_frame()
                yield frame.image

        seen = observe(frames(), protocol.fps, AuteurBackend())
    track = seen.action_units(seen.neutral())
    count = codec.frame_count(min(speech.duration_sec, track.duration_sec))
    truth = codec.frames_of(track, frames=count, threshold=protocol.threshold)
    speech = speech.slice(0, min(speech.duration_sec, count / codec.CODEC_RATE))
    return SpokenClip(clip=clip, speech=speech, truth=codec.values_of(truth))


def scores_of(
    model: Model, row: Row, protocol: Protocol, spoken: Sequence[SpokenClip]
) -> dict[str, Estimate]:
    """Returns the figures of a row, each a mean over clips with its interval over people."""
    order = Order(row.order) if row.order else Order.UNITS
    found: dict[str, list[float]] = {name: [] for name in (*_METRICS, "emotion")}
    people: list[str] = []
    for one in spoken:
        given = one.clip.emotion if order is Order.UNITS_GIVEN_EMOTION else None
        if order is Order.UNITS_GIVEN_EMOTION and given is None:
            continue
        written, emotion = model(one.speech, order, given)
        kept = np.where(written > protocol.threshold, written, 0)[: len(one.truth)]
        scores = au_scores([one.truth[: len(kept)]], [kept])
        people.append(one.clip.person)
        for name in _METRICS:
            found[name].append(getattr(scores, name))
        is_judged = emotion is not None and one.clip.emotion is not None
        found["emotion"].append(float(_of_face(emotion) == one.clip.emotion) if is_judged else np.nan)
    return {
        name: estimate
        for name, values in found.items()
        if (estimate := bootstrap(np.array(values), people)).count
    }


def _of_face(emotion: str | None) -> str | None:
    return emotion if emotion in EMOTIONS or emotion is None else NEUTRAL


def model_of(preset: str) -> Model:
    """Returns the audio-language model of a folder with stages, of a model's folder, or of a weights file.

    Raises:
        UsageError: transformers or peft is not installed.
        WeightsError: It holds no such model.
    """
    path, adapter = Path(preset), None
    if preset == COMPACT:
        path = path_of("audio_lm")
    elif path.is_dir():
        path, adapter = audio_lm_of(path / "audio_lm" if (path / "audio_lm").is_dir() else path)
    if not path.is_dir():
        return _compact(path)
    model = PretrainedAudioLM.from_folder(path, adapter=adapter)

    def answer(speech: Waveform, order: Order, emotion: str | None) -> Answered:
        (found,) = model.answer([Question(sound=speech, order=order, emotion=emotion)])
        return codec.values_of(found.frames), found.emotion

    return answer


def _compact(path: Path) -> Model:
    decoder = ConstrainedDecoder(load_model(path, AudioLM))

    def answer(speech: Waveform, order: Order, emotion: str | None) -> Answered:
        frames = codec.frame_count(speech.duration_sec)
        rows = torch.from_numpy(acoustic_features(speech).rows)[: frames * ROWS_PER_FRAME]
        found, answered = whole_answer(decoder, rows, frames=frames, order=order, emotion=emotion)
        return codec.values_of(found), answered.emotion

    return answer


def regressor() -> Model:
    """Returns the shipped control, which has no order: numbers and emotion at once."""
    network = load_model(path_of(REGRESSOR), Regressor)

    @torch.inference_mode()
    def answer(speech: Waveform, order: Order, emotion: str | None) -> Answered:
        if emotion is not None:
            raise UsageError(f"the regressor has no order {order}; it predicts from speech alone")
        frames = codec.frame_count(speech.duration_sec)
        units, emotions = network(torch.from_numpy(acoustic_features(speech).rows)[None], None)
        step = int(codec.TRACK_RATE / codec.CODEC_RATE)
        return units[0, ::step][:frames].numpy(), codec.VOICE_EMOTIONS[int(emotions[0].argmax())]

    return answer
