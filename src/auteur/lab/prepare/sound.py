"""Stage "speech": a clip's own sound at 16 kHz, its speech features, energy and pitch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.lab.corpora import Recording
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.lips import LipAgreement, lip_agreement
from auteur.lab.prepare.options import RATE
from auteur.lab.prepare.stage_timer import StageTimer
from auteur.media import SPEECH_RATE_HZ, probe, read_speech
from auteur.signals import Waveform
from auteur.signals.timebase import exact_seconds
from auteur.speech.features import CompactSpeechFeatures, SpeechAnalysis
from auteur.speech.prosody import FRAME_RATE, energy_db, pitch

SAMPLES_PER_FRAME = SPEECH_RATE_HZ // int(RATE)

SILENT_DB = -60.0
"""Level, of full scale, that the loudest tenth of a clip must reach."""

PROSODY = ("energy_db", "f0_hz", "voicing")
"""Columns of `prosody.npy`: level in dB of full scale; pitch, 0 where no voice sounds; how periodic, 0 to
1."""

_STEP = FRAME_RATE / RATE


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipSound:
    """The sound of a clip, exactly as long as its pictures."""

    waveform: Waveform
    analysis: SpeechAnalysis
    prosody: NDArray[np.float32]
    """[T, 3], columns `PROSODY`."""
    agreement: LipAgreement | None

    @property
    def is_silent(self) -> bool:
        """Whether nothing in it is loud enough to be speech."""
        return is_silent(self.prosody)


def read_sound(recording: Recording) -> Waveform | None:
    """Returns all sound of a recording's file at 16 kHz, on the clock of its video; None where it has none.

    Raises:
        MediaError: There is sound, and it cannot be read.
    """
    is_silent_file = recording.audio is None and recording.medium != "sound"
    if recording.medium == "picture" or (is_silent_file and probe(recording.video).audio_channels is None):
        return None
    return read_speech(recording.audio or recording.video)


def spoken_parts(recording: Recording, *, longest_sec: float) -> Iterator[tuple[int, Waveform]]:
    """Yields the sound of a recording without pictures: the first frame of each part, and the part.

    Long ones are divided evenly; each part lasts whole frames, the last filled up with silence.

    Raises:
        MediaError: It cannot be read.
        InputError: It ends before it begins.
    """
    whole = read_speech(recording.audio or recording.video)
    first = round(exact_seconds(recording.start_seconds, "start_seconds") * SPEECH_RATE_HZ)
    stop = whole.samples.size
    if recording.stop_seconds is not None:
        stop = min(stop, round(exact_seconds(recording.stop_seconds, "stop_seconds") * SPEECH_RATE_HZ))
    samples = whole.samples[first:stop]
    frames = -(-samples.size // SAMPLES_PER_FRAME)
    if not frames:
        raise InputError(f"{str(recording.video)!r} has no sound from {recording.start_seconds:g} s on")
    samples = np.pad(samples, (0, frames * SAMPLES_PER_FRAME - samples.size))
    parts = math.ceil(frames / (longest_sec * RATE))
    edges = [frames * part // parts for part in range(parts + 1)]
    for low, high in pairwise(edges):
        own = samples[low * SAMPLES_PER_FRAME : high * SAMPLES_PER_FRAME]
        yield low, Waveform(samples=own, rate_hz=SPEECH_RATE_HZ)


def clip_sound(clip: Clip, whole: Waveform, encoder: CompactSpeechFeatures, timer: StageTimer) -> ClipSound:
    """Returns the sound of a clip, filled up with silence where the recording ends early."""
    first = round(clip.start_sec * SPEECH_RATE_HZ)
    wanted = clip.frames * SAMPLES_PER_FRAME
    part = whole.samples[first : first + wanted]
    waveform = Waveform(samples=np.pad(part, (0, wanted - part.size)), rate_hz=SPEECH_RATE_HZ)
    with timer.stage("speech"):
        analysis = encoder.analyse(waveform, RATE)
    with timer.stage("prosody"):
        prosody = prosody_of(waveform, clip.frames)
    with timer.stage("sync"):
        agreement = lip_agreement(clip.landmarks, analysis)
    return ClipSound(waveform=waveform, analysis=analysis, prosody=prosody, agreement=agreement)


def is_silent(prosody: NDArray[np.float32]) -> bool:
    """Returns whether nothing in a sound is loud enough to be speech."""
    return float(np.quantile(prosody[:, 0], 0.9)) < SILENT_DB


def prosody_of(waveform: Waveform, frames: int) -> NDArray[np.float32]:
    """Returns `PROSODY` [frames, 3] at 25 per second."""
    voice = pitch(waveform)
    columns = np.stack([energy_db(waveform), voice.f0_hz, voice.voicing], axis=1)
    rows = np.minimum([int(k * _STEP) for k in range(frames)], len(columns) - 1)
    return columns[rows].astype(np.float32)
