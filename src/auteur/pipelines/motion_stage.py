"""Speech and a performance → motion: the route's first stage, then the motion generator."""

from dataclasses import replace

import numpy as np

from auteur import malloc
from auteur.expression.curve import EmotionCurve
from auteur.facs import find_emotion
from auteur.motion.guidance import guided_track
from auteur.motion.speech_motion import MOTION_RATE, AddedShape, Habits, Motion, SpeechCues, SpeechMotion
from auteur.pipelines.request import Performance
from auteur.pipelines.routes import ShapedExpression, find_route, following
from auteur.pipelines.settings import Settings
from auteur.signals import Sound
from auteur.speech.features import CompactSpeechFeatures


def requested_motion(
    encoder: CompactSpeechFeatures, mover: SpeechMotion, speech: Sound, asked: Performance, settings: Settings
) -> Motion:
    """Returns how a face moves while it says the speech and shows the performance.

    Args:
        encoder: Of the speech.
        mover: Makes the motion.
        speech: At 16 kHz.
        asked: The performance.
        settings: Seed, route and habits.
    """
    analysis = encoder.analyse(speech, MOTION_RATE)
    features, cues = analysis.features, SpeechCues.of_analysis(analysis)
    del analysis  # the phones
    frames = len(features)
    malloc.trim_heap()
    stage = find_route(settings.route, asks_nothing=asked.asks_nothing).load()
    emotion = None if asked.emotion is None else find_emotion(asked.emotion)
    expression, shape = None, None
    if isinstance(stage, ShapedExpression):
        curve = asked.emotions or EmotionCurve.constant("neutral", 0.0)
        expression, weights, shapes = stage.shaped(speech, curve=curve)
        shape = AddedShape(weights=weights, shapes=shapes) if asked.leaves_alone(expression) else None
    elif stage is not None and asked.emotions is not None and (emotion is None or asked.intensity > 1):
        expression = following(stage, speech, asked.emotions)
    elif stage is not None:
        expression = stage(speech, emotion=emotion, intensity=asked.intensity)
    shown = asked.on_grid(frames, MOTION_RATE, expression=expression)
    on_top = replace(asked, emotion=None, intensity=1.0, emotion_curve=None).on_grid(frames, MOTION_RATE)
    motion = mover.generate(
        features,
        cues=cues,
        asked=guided_track(shown if shape is None else on_top, settings.au_guidance_or_default),
        seed=settings.seed,
        temperature=settings.temperature,
        habits=Habits(blinks=settings.blinks, gaze=settings.gaze, head=settings.head),
    )
    # What a named route makes of the speech directs the whole face, as a track does; what is only heard
    # leaves the portrait's own expression where it is.
    is_named = stage is not None and settings.route != "auto"
    takeover = np.ones(frames) if is_named else asked.takeover(frames)
    return replace(motion, takeover=takeover, shape=shape, shown=shown)
