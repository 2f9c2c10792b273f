"""Conditional flow matching over frames: p(x | speech, Action Units, style), for faces and for heads.

A mean over people is not a face. A regression, and the mode of the variational generator of paper C
(`auteur.motion.generator`), average over all ways to speak the same words, so lips hardly round and cheeks
stay still; this model samples one of them, with the spread of people.

Flow matching (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2023, arXiv 2209.03003): noise x_0 and data
x_1 are joined by x_t = (1 - t) x_0 + t x_1, the network learns the velocity x_1 - x_0, and sampling
integrates it from t = 0 to 1. Conditions are dropped at random in training, so that they can be guided (Ho
& Salimans 2022, arXiv 2207.12598):

    v = v(s, u) + (g_s - 1) (v(s, u) - v(0, u)) + (g_u - 1) (v(s, u) - v(s, 0)).

As in paper C (arXiv 2509.19749, stage 1) the condition is c_t = [a_t ; u_t], speech and Action Units of
each frame.

Axes: B batch, T frames, S speech features, A action units, K channels of x, C style statistics.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from auteur.motion.layers import DilatedConvolutions
from auteur.motion.noise import frame_noise
from auteur.signals.spans import spans

_TIME_FREQUENCIES = 32
_NOISE_REACH = 6


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Sizes of a conditional flow."""

    channels: int
    """K."""
    style: int
    """C."""
    speech_features: int = 172
    """S."""
    action_units: int = 0
    """A; 0 for a flow that is not conditioned on them."""
    code: int = 96
    hidden: int = 128
    kernel: int = 3
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    dropout: float = 0.1
    noise_deviation_frames: float = 1.0
    """Standard deviation in frames of the Gaussian that smooths x_0 over time: noise without jitter leaves
    none to remove."""


class FlowConditions(NamedTuple):
    """Conditions of a flow; None is the learned null."""

    speech: Tensor | None
    """[B, T, S]."""
    action_units: Tensor | None
    """[B, T, A] in [0, 1]; NaN where a unit is not specified."""
    style: Tensor
    """[B, C] in standard deviations of training people; NaN where a statistic is not specified."""
    is_generated: Tensor
    """[B], 1 for motion like that of published talking-head systems, 0 for that of filmed people."""


@dataclass(frozen=True, kw_only=True)
class FlowSampling:
    """Settings of sampling."""

    steps: int = 8
    """Euler steps."""
    temperature: float = 1.0
    """Standard deviation of x_0, in [0, 2]: 0 gives one fixed sample, 1 the full spread."""
    speech_guidance: float = 1.0
    """g_s; 1 is none, 0 leaves the speech out."""
    au_guidance: float = 1.0
    """g_u; 1 is none."""


class ConditionalFlow(nn.Module):
    """The velocity dx/dt, by gated dilated convolutions over time."""

    speech_mean: Tensor
    speech_deviation: Tensor
    frequencies: Tensor

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        code, hidden = config.code, config.hidden
        self.speech_code = nn.Sequential(
            nn.Conv1d(config.speech_features, code, 3, padding=1),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Conv1d(code, code, 3, padding=1),
        )
        # "No speech" and "no AUs" are learned: a zero AU vector is a valid neutral face, not a missing one.
        self.no_speech = nn.Parameter(torch.zeros(code, 1))
        if config.action_units:
            self.au_code = nn.Sequential(
                nn.Conv1d(2 * config.action_units, code, 1), nn.SiLU(), nn.Conv1d(code, code, 1)
            )
            self.no_aus = nn.Parameter(torch.zeros(code, 1))
        facts = 2 * _TIME_FREQUENCIES + 2 * config.style + 1
        self.overall_code = nn.Sequential(nn.Linear(facts, code), nn.SiLU(), nn.Linear(code, code))
        self.into = nn.Conv1d(config.channels, hidden, 1)
        self.convolutions = DilatedConvolutions(
            hidden=hidden,
            kernel=config.kernel,
            dilations=config.dilations,
            condition=(3 if config.action_units else 2) * code,
            dropout=config.dropout,
        )
        self.out = nn.Sequential(
            nn.GELU(), nn.Conv1d(hidden, hidden, 1), nn.GELU(), nn.Conv1d(hidden, config.channels, 1)
        )
        self.register_buffer("speech_mean", torch.zeros(config.speech_features))
        self.register_buffer("speech_deviation", torch.ones(config.speech_features))
        spread = torch.exp(torch.linspace(0, math.log(1000), _TIME_FREQUENCIES))
        self.register_buffer("frequencies", spread, persistent=False)

    @property
    def reach_frames(self) -> int:
        """Frames on each side that a velocity depends on."""
        return self.convolutions.reach_frames + 2

    def forward(
        self,
        x: Tensor,  # [B, T, K]
        time: Tensor,  # [B]
        given: FlowConditions,
        *,
        drop_speech: Tensor | None = None,  # bool [B]
        drop_aus: Tensor | None = None,  # bool [B]
    ) -> Tensor:
        """Returns dx/dt [B, T, K] at `time` in [0, 1]; what is None or dropped becomes its null."""
        codes = [self._speech(x, given.speech, drop_speech)]
        if self.config.action_units:
            codes.append(self._action_units(x, given.action_units, drop_aus))
        angle = time[:, None] * self.frequencies
        style = [given.style.nan_to_num(), ~given.style.isnan()]
        overall = self.overall_code(
            torch.cat([angle.sin(), angle.cos(), *style, given.is_generated[:, None]], -1)
        )
        codes.append(overall[:, :, None].expand(-1, -1, x.shape[1]))
        hidden = self.convolutions(self.into(x.transpose(1, 2)), torch.cat(codes, 1))
        return self.out(hidden).transpose(1, 2)

    def _speech(self, x: Tensor, speech: Tensor | None, drop: Tensor | None) -> Tensor:
        null = self.no_speech.expand(len(x), -1, x.shape[1])
        if speech is None:
            return null
        code = self.speech_code(((speech - self.speech_mean) / self.speech_deviation).transpose(1, 2))
        return code if drop is None else torch.where(drop[:, None, None], null, code)

    def _action_units(self, x: Tensor, units: Tensor | None, drop: Tensor | None) -> Tensor:
        null = self.no_aus.expand(len(x), -1, x.shape[1])
        if units is None:
            return null
        code = self.au_code(torch.cat([units.nan_to_num(), ~units.isnan()], -1).transpose(1, 2))
        return code if drop is None else torch.where(drop[:, None, None], null, code)

    @torch.no_grad()
    def sample(
        self,
        speech: Tensor | None,  # [T, S]
        action_units: Tensor | None = None,  # [T, A], NaN where not specified
        *,
        style: Tensor,  # [C]
        seed: int,
        purpose: str,
        sampling: FlowSampling,
        window_frames: int = 1024,
    ) -> Tensor:
        """Returns x [T, K] for the frames of the conditions; the same for every window size.

        Velocities are computed in windows with `reach_frames` more on both sides, which are cut off again;
        noise belongs to the frame, not to the window. So nothing is blended and there is no seam.

        Args:
            speech: Features of every frame.
            action_units: Intensities of every frame, in [0, 1].
            style: In standard deviations of training people.
            seed: The user's.
            purpose: Name of the noise; every purpose has its own, independent numbers.
            sampling: Steps, temperature, guidance.
            window_frames: Frames computed at once; it changes memory, not the result.

        Raises:
            ValueError: There is neither speech nor Action Units, so that the length is unknown.
        """
        given = speech if speech is not None else action_units
        if given is None:
            raise ValueError("give speech features, Action Units or both")
        frames = len(given)
        noise = smooth_noise(seed, purpose, frames, self.config)
        x = torch.from_numpy(noise) * sampling.temperature
        times = torch.linspace(0, 1, sampling.steps + 1)
        for now, then in pairwise(times):
            velocity = torch.empty_like(x)
            for span in spans(frames, window_frames, before=self.reach_frames, after=self.reach_frames):
                part = span.around
                conditions = FlowConditions(
                    None if speech is None else speech[None, part],
                    None if action_units is None else action_units[None, part],
                    style[None],
                    torch.zeros(1),
                )
                guided = self._guided(x[None, part], now[None], conditions, sampling)[0]
                velocity[span.step] = guided[span.inner]
            x = x + (then - now) * velocity
        return x

    def _guided(self, x: Tensor, time: Tensor, given: FlowConditions, sampling: FlowSampling) -> Tensor:
        if sampling.speech_guidance == 0 and sampling.au_guidance == 1:
            return self(x, time, given._replace(speech=None))
        full = self(x, time, given)
        velocity = full
        if sampling.speech_guidance != 1 and given.speech is not None:
            without = self(x, time, given._replace(speech=None))
            velocity = velocity + (sampling.speech_guidance - 1) * (full - without)
        if sampling.au_guidance != 1 and given.action_units is not None:
            without = self(x, time, given._replace(action_units=None))
            velocity = velocity + (sampling.au_guidance - 1) * (full - without)
        return velocity


def noise_kernel(deviation_frames: float) -> np.ndarray:
    """Returns the filter [13] that smooths white noise over time and keeps its variance."""
    places = np.arange(-_NOISE_REACH, _NOISE_REACH + 1)
    if deviation_frames == 0:
        return (places == 0).astype(np.float32)
    kernel = np.exp(-0.5 * (places / deviation_frames) ** 2)
    return (kernel / np.linalg.norm(kernel)).astype(np.float32)


def smooth_noise(seed: int, purpose: str, frames: int, config: FlowConfig) -> np.ndarray:
    """Returns x_0 [frames, K], unit variance, smooth over time: the same for a frame at any length."""
    white = frame_noise(seed, purpose, -_NOISE_REACH, frames + _NOISE_REACH, config.channels)
    kernel = noise_kernel(config.noise_deviation_frames)
    columns = [np.convolve(column, kernel, mode="valid") for column in white.T]
    return np.stack(columns, axis=1).astype(np.float32)
