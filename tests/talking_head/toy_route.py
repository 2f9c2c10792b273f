"""A route as short as one can be: the example of docs/adding_a_route.md."""

import numpy as np

from auteur.expression.curve import EmotionCurve
from auteur.signals import AUTrack, Sound
from auteur.speech.prosody import FRAME_RATE, energy_db
from auteur.talking_head.routes import Expressed, Expression

FLOOR_DB, RANGE_DB = -50.0, 40.0


def brows_by_loudness() -> Expression:
    def express(speech: Sound, emotions: EmotionCurve | None) -> Expressed:
        loudness = np.clip((energy_db(speech) - FLOOR_DB) / RANGE_DB, 0, 1)
        values = np.stack([loudness, loudness], axis=1).astype(np.float32)
        units = AUTrack(values=values, rate=FRAME_RATE, channels=("AU2L", "AU2R"), convention="facs")
        return Expressed(action_units=units)

    return express
