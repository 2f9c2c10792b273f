"""A performance added to motion that exists already: what a preview shows until the motion is made anew."""

from dataclasses import replace

import numpy as np

from auteur.motion.performance import ARTICULATION_CONTROLS, Performance
from auteur.motion.posture import with_posture
from auteur.motion.speech_motion import Motion, MotionOptions, SpeechMotion


def drafted(mover: SpeechMotion, bare: Motion, performance: Performance, options: MotionOptions) -> Motion:
    """Returns a motion with a performance added to it by the basis of Action Units.

    `SpeechMotion.generate` conditions the face flow on what describes a face as a whole, which takes about a
    second. Here all Action Units are displacements on top of the drawn motion: within milliseconds, the same
    lids, gaze, head and expression shapes, and nearly the same mouth; brows move as the units alone say.

    Args:
        mover: What made the motion.
        bare: Motion of the same frames, of a performance with the same `lips` and nothing else.
        performance: What the face is to do.
        options: Those of `bare`.
    """
    head = bare.head if performance.head is None else mover.head_of(None, performance, options)
    lids, gaze = mover.eyes_of(performance, bare.cues, options, head)
    head, gaze = with_posture(head, gaze, performance, head_factor=options.head, gaze=options.gaze)
    added = performance.added
    if performance.acted is not None:
        values = np.nan_to_num(np.array(performance.acted.values))
        if performance.lips == "speech":
            values[:, [name in ARTICULATION_CONTROLS for name in performance.acted.channels]] = 0
        added = performance.acted.replace(values=values if added is None else np.fmax(values, added.values))
    return replace(
        bare,
        performance=replace(performance, acted=None, added=added, summary=performance.action_units),
        lids=lids,
        gaze_rad=gaze,
        head=head,
    )
