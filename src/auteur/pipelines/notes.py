"""What a user is told about odd input that is used all the same."""

from fractions import Fraction

from auteur.expression.curve import EXTRAPOLATES
from auteur.media import SpeechNotes
from auteur.motion.speech_motion import MOTION_RATE, Motion
from auteur.pipelines.request import Performance

_NOTHING_SAID = 0.99


def notes_of(heard: SpeechNotes, asked: Performance, speech_sec: Fraction, motion: Motion) -> tuple[str, ...]:
    """Returns sentences about how the speech and the performance were understood."""
    notes = list(heard.lines())
    if not heard.is_silent and motion.cues.silence.min() > _NOTHING_SAID:
        notes.append("no speech is heard in the recording: the lips stay closed")
    if asked.emotions is not None and asked.emotions.strongest > 1:
        notes.append(EXTRAPOLATES)
    curves = asked.curves()
    if curves is not None and curves.duration_sec < speech_sec:
        notes.append(
            f"the track covers {float(curves.duration_sec):.2f} s of {float(speech_sec):.2f} s of "
            "speech; its last value holds to the end"
        )
    if curves is not None and curves.rate != MOTION_RATE:
        notes.append(f"the track has {float(curves.rate):g} frames/s; it was resampled by time")
    return tuple(notes)
