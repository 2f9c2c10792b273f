"""Samples of speech without pictures: sound, features and prosody, and no frames."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.lab.corpora import Recording
from auteur.lab.data.archive import Member, flac, json_line, npy
from auteur.lab.prepare.filters import Rejection
from auteur.lab.prepare.options import RATE, PrepareOptions
from auteur.lab.prepare.records import labels_of, origin_of
from auteur.lab.prepare.sound import SAMPLES_PER_FRAME, SILENT_DB, is_silent, prosody_of, spoken_parts
from auteur.lab.prepare.stage_timer import StageTimer
from auteur.signals import Waveform
from auteur.signals.timebase import exact_seconds
from auteur.speech.features import CompactSpeechFeatures, SpeechAnalysis

Made = list[tuple[dict[str, Any], list[Member]]]
"""(row of the index, members) of every sample."""


@dataclass(frozen=True)
class _Part:
    recording: Recording
    first: int
    frames: int

    @property
    def start_sec(self) -> Fraction:
        return exact_seconds(self.recording.start_seconds, "start_seconds") + self.first / RATE

    @property
    def stop_sec(self) -> Fraction:
        return self.start_sec + self.frames / RATE


def spoken_samples(
    recording: Recording,
    folder: Path,
    options: PrepareOptions,
    encoder: CompactSpeechFeatures,
    timer: StageTimer,
) -> tuple[Made, list[Rejection]]:
    """Returns the samples of a recording without pictures, and what was rejected.

    Raises:
        AuteurError: It cannot be read.
    """
    with timer.stage("read"):
        parts = list(spoken_parts(recording, longest_sec=options.longest_seconds))
    made: Made = []
    rejections: list[Rejection] = []
    for number, (first, waveform) in enumerate(parts, start=1):
        key = recording.key if len(parts) == 1 else f"{recording.key}--{number:03d}"
        part = _Part(recording, first, waveform.samples.size // SAMPLES_PER_FRAME)
        with timer.stage("prosody"):
            prosody = prosody_of(waveform, part.frames)
        objection = _objection(key, part, prosody, options)
        if objection is not None:
            rejections.append(objection)
            continue
        with timer.stage("speech"):
            analysis = encoder.analyse(waveform, RATE)
        row = {
            **labels_of(recording), "key": key, "frames": part.frames, "face_px": None, "seen": None,
            "has_speech": True, "offset_frames": None, "agreement": None,
        }  # fmt: skip
        members = sound_members(waveform, analysis, prosody)
        members["json"] = json_line({**row, **origin_of(recording, part, folder)})
        row["bytes"] = sum(len(content) for content in members.values())
        made.append((row, [(f"{key}.{name}", content) for name, content in sorted(members.items())]))
    return made, rejections


def sound_members(
    waveform: Waveform, analysis: SpeechAnalysis, prosody: NDArray[np.float32]
) -> dict[str, bytes]:
    """Returns the members of a sample's sound."""
    return {
        "flac": flac(waveform),
        "speech.npy": npy(analysis.features.numpy()),
        "prosody.npy": npy(prosody),
    }


def _objection(
    key: str, part: _Part, prosody: NDArray[np.float32], options: PrepareOptions
) -> Rejection | None:
    seconds = float(part.frames / RATE)
    if seconds < options.least_seconds:
        detail = f"{seconds:.2f} s; at least {options.least_seconds:g} s are needed"
        return Rejection(key, "too_short", detail)
    if is_silent(prosody) and not options.keep_silent:
        return Rejection(key, "silent", f"the loudest tenth is below {SILENT_DB:g} dB of full scale")
    return None
