"""Emotion to head and gaze: what a head does while the face shows an emotion.

FACS codes heads and eyes as units 51 to 64; EMFACS leaves them open. Sadness lowers head and eyes, disgust
draws the head back and away, contempt raises and tilts it, anger lowers the forehead towards the other, fear
and surprise start back. A bowed head reads as sad, a raised one as superior (Mignault & Chaudhuri, "The many
faces of a neutral face: head tilt and perception of dominance and emotion", 2003); the other directions and
all sizes are our judgement: a few degrees, about as far as people lean while they talk.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Posture:
    """Where head and eyes rest at the height of an emotion, against the portrait's pose; degrees.

    Head angles are the subject's, as in `auteur.signals.PoseTrack`; a head that comes near or goes back does
    so by its pitch alone, since a portrait's shoulders stay where they are.
    """

    pitch_deg: float = 0.0
    """+ lifts the nose (head back), - lowers it."""
    yaw_deg: float = 0.0
    """+ to the subject's left."""
    roll_deg: float = 0.0
    """+ to the subject's left shoulder."""
    eyes_down_deg: float = 0.0
    """Of the eyes in the head, + down. Eyes that stay on the viewer go against the pitch."""
    eyes_left_deg: float = 0.0
    """The same, + to the subject's left."""

    @property
    def head_rad(self) -> tuple[float, float, float]:
        """Pitch, yaw and roll."""
        return (
            float(np.radians(self.pitch_deg)),
            float(np.radians(self.yaw_deg)),
            float(np.radians(self.roll_deg)),
        )

    @property
    def gaze_rad(self) -> tuple[float, float]:
        """Turn of the eyes in the head: x (+ to the picture's right, the subject's left), y (+ down)."""
        return float(np.radians(self.eyes_left_deg)), float(np.radians(self.eyes_down_deg))


POSTURES: dict[str, Posture] = {
    "neutral": Posture(),
    "happy": Posture(pitch_deg=1.5, roll_deg=1.5, eyes_down_deg=1.0),
    "sad": Posture(pitch_deg=-2.0, roll_deg=2.0, eyes_down_deg=5.0),
    "angry": Posture(pitch_deg=-5.0, eyes_down_deg=-3.5),
    "fear": Posture(pitch_deg=2.0, eyes_down_deg=1.5),
    "disgusted": Posture(pitch_deg=4.0, yaw_deg=-5.0, eyes_down_deg=3.0, eyes_left_deg=3.0),
    "surprised": Posture(pitch_deg=3.0, eyes_down_deg=2.0),
    "contempt": Posture(pitch_deg=1.0, yaw_deg=2.0, roll_deg=-2.0, eyes_down_deg=1.0, eyes_left_deg=-2.0),
}
"""Of every emotion at strength 1; they scale with the strength and add up in blends."""
