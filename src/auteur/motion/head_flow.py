"""Head motion of talking people: a conditional flow over pose, driven by the speech.

Head motion is sampled at half the motion rate: it is slow, and ten seconds then fit into the receptive field
of the network.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.motion.conditional_flow import ConditionalFlow, FlowConfig, FlowSampling
from auteur.motion.idle_motion import POSE_CONVENTION
from auteur.signals import PoseTrack
from auteur.weights import SavedModel

Floats = NDArray[np.floating[Any]]

_EARLIER_SPACES = {"compact80+logmel81": "lips91+logmel81"}
"""Names of the same features in files of earlier versions."""

HEAD_STYLE = ("deviation", "speed")
"""Statistics of a clip's head motion: logarithms of its standard deviation in degrees and of degrees per
second."""

HEAD_SAMPLING = FlowSampling(steps=10, temperature=1.0, speech_guidance=1.5)
"""Sampling of nods, which follow the speech."""
POSTURE_SAMPLING = FlowSampling(steps=10, temperature=1.0, speech_guidance=0.0)
"""Sampling of posture, slower than nods and free of the speech: people who say the same do not lean the same
way, and since every recording begins with the onset of a voice, all videos would begin alike."""
POSTURE_DEVIATION_FRAMES = 4.0
"""Standard deviation, in frames at `HEAD_RATE`, of the Gaussian that separates posture from nods."""

_POSTURE_REACH = 4
"""Half the length of that Gaussian, in standard deviations."""
_SMALLEST_DEG = 0.05


@dataclass(frozen=True, kw_only=True)
class HeadFlowConfig:
    """Sizes, and the name of the speech features."""

    flow: FlowConfig = field(
        default_factory=lambda: FlowConfig(
            channels=6,
            style=len(HEAD_STYLE),
            code=48,
            hidden=96,
            dilations=(1, 2, 4, 8, 16, 1, 2, 4, 8, 16),
            noise_deviation_frames=2.0,
        )
    )
    speech_space: str = "lips91+logmel81"
    frames_per_sec: int = 25
    """Rate of the tracks that it was trained on."""


class HeadFlow(SavedModel):
    """Speech in, pose relative to the portrait out."""

    kind = "head_flow"
    config_class = HeadFlowConfig

    scale: Tensor
    """[6]: typical deviation of pitch, yaw, roll in radians and of x, y, z in millimetres."""

    def __init__(self, config: HeadFlowConfig) -> None:
        super().__init__()
        self.config = config
        self.flow = ConditionalFlow(config.flow)
        self.register_buffer("scale", torch.ones(config.flow.channels))

    @property
    def speech_space(self) -> str:
        """Name of the speech features."""
        return _EARLIER_SPACES.get(self.config.speech_space, self.config.speech_space)

    def motion(
        self, speech: Tensor, *, rate: Fraction, seed: int, liveliness: float = 1.0, amount: float = 1.0
    ) -> PoseTrack:
        """Returns head motion at the rate of the features, convention "relative_canonical_mm".

        Args:
            speech: Features [T, S].
            rate: Frames per second of the features.
            seed: The same seed gives the same motion.
            liveliness: 0 calm, 1 like most people, 2 like the liveliest.
            amount: Factor on the whole.
        """
        frames = len(speech)
        pairs = torch.nn.functional.pad(speech, (0, 0, 0, frames % 2)).unflatten(0, (-1, 2))
        pairs[-1] = speech[-1] if frames % 2 else pairs[-1]
        nods, posture = (
            self.flow.sample(
                pairs.mean(dim=1),
                style=torch.full((len(HEAD_STYLE),), liveliness - 1.0),
                seed=seed,
                purpose="head",
                sampling=sampling,
            ).numpy()
            for sampling in (HEAD_SAMPLING, POSTURE_SAMPLING)
        )
        drawn = nods + _slow(posture - nods)
        values = amount * drawn * self.scale.numpy()
        places = np.arange(frames + 2) / 2 - 0.5  # one frame more at both ends, for the smoothing
        even = np.stack([np.interp(places, np.arange(len(values)), column) for column in values.T], axis=1)
        # Straight lines between slow frames have corners.
        smooth = (even[:-2] + 2 * even[1:-1] + even[2:]) / 4
        return PoseTrack(values=smooth.astype(np.float32), rate=rate, convention=POSE_CONVENTION)


def _slow(values: Floats) -> Floats:
    """Returns the Gaussian mean over time of values [T, N]; at the ends, of what there is."""
    reach = round(_POSTURE_REACH * POSTURE_DEVIATION_FRAMES)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / POSTURE_DEVIATION_FRAMES) ** 2)
    sums = [np.convolve(column, kernel)[reach:-reach] for column in np.c_[values, np.ones(len(values))].T]
    return np.stack(sums[:-1], axis=1) / sums[-1][:, None]


def head_style(pose: Floats, rate: Fraction) -> Floats:
    """Returns the logarithms of `HEAD_STYLE` [2] of poses [T, 6]."""
    degrees = np.degrees(np.asarray(pose)[:, :3])
    speed = np.abs(np.diff(degrees, axis=0)).mean() * float(rate)
    return np.log(np.array([degrees.std(axis=0).mean(), speed]) + _SMALLEST_DEG)
