"""A route as short as one can be: the example of docs/adding_a_route.md."""

import numpy as np

from auteur.motion.performance import Performance
from auteur.signals import AUTrack, Sound
from auteur.speech.prosody import FRAME_RATE, energy_db
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import RouteModel, performance_of_route

FLOOR_DB, RANGE_DB = -50.0, 40.0


def brows_by_loudness() -> RouteModel:
    def perform(speech: Sound, request: PerformanceRequest) -> Performance:
        loudness = np.clip((energy_db(speech) - FLOOR_DB) / RANGE_DB, 0, 1)
        values = np.stack([loudness, loudness], axis=1).astype(np.float32)
        units = AUTrack(values=values, rate=FRAME_RATE, channels=("AU2L", "AU2R"), convention="facs")
        return performance_of_route(speech, units)

    return perform
