"""Notes about unusual input that is used all the same."""

from fractions import Fraction

import numpy as np

from auteur.expression.curve import EXTRAPOLATES
from auteur.facs import ACTION_UNITS, ANTAGONISTS, UNSHOWN_UNITS, prototype, resolve
from auteur.formats import RecordedPerformance
from auteur.media import SpeechNotes
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import as_specified
from auteur.motion.speech_motion import Motion
from auteur.signals import BRIDGED_SEC, AUTrack, measured, unmeasured_frames
from auteur.talking_head.request import PerformanceRequest

_NOTHING_SAID = 0.99
_MOST_NAMED = 5
_ONE_FRAME_SEC = 1 / MOTION_RATE
_HELD = 0.1
"""Intensity from which a control that is not shown is reported."""


def notes_of(
    heard: SpeechNotes, requested: PerformanceRequest, speech_sec: Fraction, motion: Motion
) -> tuple[str, ...]:
    """Returns sentences about how the speech and the performance were understood."""
    notes = list(heard.lines())
    if not heard.is_silent and motion.cues.silence.min() > _NOTHING_SAID:
        notes.append("no speech was found in the recording: the lips stay closed")
    elif not heard.is_silent:
        notes += motion.performance.notes
    if requested.emotions is not None and requested.emotions.strongest > 1:
        notes.append(EXTRAPOLATES)
    notes += contradictions(requested)
    recorded = requested.recorded
    return (*notes, *(() if recorded is None else track_notes(recorded, speech_sec)))


def contradictions(requested: PerformanceRequest) -> list[str]:
    """Returns sentences about single units that work against a requested emotion; both are shown."""
    emotions = () if requested.emotions is None else requested.emotions.emotions
    given = {resolve(name).number: value for name, value in requested.single_units().items()}
    pairs = (*ANTAGONISTS, *((other, one) for one, other in ANTAGONISTS))
    notes: list[str] = []
    for emotion in emotions:
        moved = {
            resolve(name).number for name, value in prototype(emotion, convention="facs").items() if value
        }
        notes += [
            f"AU{one} works against AU{other} of {emotion}: both are shown; leave out AU{one}, or AU{other} "
            f"with --mute AU{other}"
            for one, other in pairs
            if given.get(one) and other in moved and other not in given
        ]
    return notes


def track_notes(recorded: RecordedPerformance, speech_sec: Fraction) -> list[str]:
    """Returns sentences about a track: assumptions, missing values, and contents that are not used."""
    track = recorded.action_units
    notes = list(recorded.notes)
    end_sec = track.start_sec + track.duration_sec
    if track.start_sec > 0:
        notes.append(
            f"the track starts at {float(track.start_sec):.2f} s of the speech; its first value holds before"
        )
    if end_sec > speech_sec + _ONE_FRAME_SEC:
        notes.append(
            f"the track goes on to {float(end_sec):.2f} s; the video ends with the speech at "
            f"{float(speech_sec):.2f} s"
        )
    if end_sec < speech_sec - _ONE_FRAME_SEC:
        covered = end_sec - max(track.start_sec, Fraction(0))
        notes.append(
            f"the track covers {float(covered):.2f} s of {float(speech_sec):.2f} s of speech; its last value "
            "holds to the end"
        )
    unshown = _unshown_controls(track)
    if unshown:
        notes.append(f"the track holds {', '.join(unshown)}, which generated faces do not show")
    if track.rate != MOTION_RATE:
        notes.append(f"the track has {float(track.rate):g} frames/s; it was resampled by time")
    return [*notes, *_hole_notes(track)]


def _unshown_controls(track: AUTrack) -> list[str]:
    """Controls that a track moves and that generated faces do not show."""
    moved = as_specified(measured(track))
    return [
        name
        for number in sorted(UNSHOWN_UNITS)
        for name in ACTION_UNITS[number].controls
        if np.nan_to_num(moved.channel(name)).max() >= _HELD
    ]


def _hole_notes(track: AUTrack) -> list[str]:
    notes: list[str] = []
    unknown = np.flatnonzero((~np.isnan(track.values)).sum(axis=0) == 0)
    if unknown.size:
        names = [track.channels[index] for index in unknown]
        few = ", ".join(names[:_MOST_NAMED]) + (" and others" if len(names) > _MOST_NAMED else "")
        notes.append(f"the track does not measure {few}")
    holes = unmeasured_frames(track)
    if holes:
        notes.append(
            f"{holes} of {track.frames} frames of the track are not measured: over up to "
            f"{float(BRIDGED_SEC):g} s they are bridged, over longer the face eases to rest and back"
        )
    return notes
