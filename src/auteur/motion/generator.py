"""The variational motion generator: p(motion | speech, Action Units) with a flow prior.

Paper C: Chang, Xu, Le & Samaras, "Talking Head Generation via AU-Guided Landmark Prediction" (arXiv
2509.19749), stage 1. Where it gives no number, GeneFace's (Ye et al. 2023, arXiv 2301.13430) are used: C is
that model with AUs.

Axes: B batch, T frames, S speech features, A action units, K coefficients of the displacement basis.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from auteur.facs import CONTROLS, EMOTIONS, au_track, convert
from auteur.motion.conditional_flow import FlowSampling
from auteur.motion.face_model import CONDITIONING_CONTROLS, FaceConditions
from auteur.motion.layers import DilatedConvolutions, FlowPrior
from auteur.motion.noise import frame_noise
from auteur.signals.spans import spans
from auteur.weights import SavedModel

_CODED_AT_ONCE = 4096
_CODE_REACH = 2
"""Frames that the speech code looks to either side."""

MESH_POINTS = 478

Condition = Literal["aus", "label", "audio_emotion"]
"""Second half of c_t: per-frame Action Units (paper C), the one-hot label of the emotion, or probabilities of
the emotions that an MLP predicts from the speech, which imitates MEMO. The last two are the rows of its
table 2."""


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Sizes. The defaults are the shipped compact model's."""

    speech_features: int = 80
    """Numbers per frame of speech: the compact encoder's; 1024 for HuBERT large."""
    action_units: int = 18
    """OpenFace's 17 intensities, each as a part of its full scale, and the presence of AU28."""
    coefficients: int = 48
    code: int = 64
    """Width of the speech code, and of the AU code."""
    hidden: int = 64
    latent: int = 16
    kernel: int = 5
    dilation_rate: int = 2
    encoder_layers: int = 4
    decoder_layers: int = 4
    flow_hidden: int = 32
    flow_kernel: int = 3
    flow_layers: int = 4
    flow_couplings: int = 4
    """Paper C: four residual coupling layers."""
    dropout: float = 0.3
    condition: Condition = "aus"
    speech_space: str = "lips91+logmel81"
    """Name of the speech features: the compact set's, or a kind of transformers model such as "hubert"."""
    frames_per_sec: int = 25
    """Rate of the tracks that it was trained on."""

    @property
    def condition_width(self) -> int:
        """Numbers per frame of the condition beside the speech."""
        return self.action_units if self.condition == "aus" else len(EMOTIONS)

    @classmethod
    def full(cls, *, speech_features: int = 1024) -> "MotionConfig":
        """Returns GeneFace's sizes, for HuBERT features and corpora of hours.

        GeneFace passes dilation rate 1, which is no dilation; paper C speaks of dilated convolutions.
        """
        return cls(
            speech_features=speech_features,
            speech_space="hubert",
            coefficients=96,
            hidden=256,
            encoder_layers=8,
            flow_hidden=64,
            dropout=0.0,
        )


class Posterior(NamedTuple):
    """q(z_t | L_t, c_t) of every frame, each [B, latent, T]."""

    mean: Tensor
    log_deviation: Tensor


class MotionOutput(NamedTuple):
    """One pass of the generator, for the training loss."""

    coefficients: Tensor
    """Decoded from a sample of the posterior, [B, T, K]."""
    mode: Tensor
    """Decoded from the mode of the prior, as generated at temperature 0, [B, T, K]."""
    kl: Tensor
    """One-sample estimate of KL(q || p) per frame and latent channel, a scalar."""


class MotionGenerator(SavedModel):
    """Speech and Action Units in, coefficients of a linear basis of mesh displacement out."""

    kind = "motion_generator"
    config_class = MotionConfig

    basis: Tensor
    """[K, 478, 3] in millimetres of the canonical head, per unit of each coefficient."""
    speech_mean: Tensor
    speech_deviation: Tensor
    spoken_gap: Tensor
    """[2]: mean in mm of the lip gap generated from speech alone, and the factor by which gaps of people vary
    more than it does. The mode of the prior averages over ways to speak the same words, so it moves too
    little."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.config = config
        code, hidden = config.code, config.hidden
        self.speech_code = nn.Sequential(  # GeneFace: Conv(1024 -> 64, k3), BN, GELU, Conv(64 -> 64, k3)
            nn.Conv1d(config.speech_features, code, 3, padding=1),
            nn.BatchNorm1d(code),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Conv1d(code, code, 3, padding=1),
        )
        self.au_code = nn.Sequential(nn.Linear(config.condition_width, 64), nn.SiLU(), nn.Linear(64, code))
        if config.condition == "audio_emotion":
            self.emotion_of_speech = nn.Sequential(
                nn.Linear(config.speech_features, 64), nn.SiLU(), nn.Linear(64, len(EMOTIONS))
            )
        # "No speech" and "no AUs" are learned: a zero AU vector is a valid neutral face, not a missing one.
        self.no_speech = nn.Parameter(torch.zeros(code, 1))
        self.no_aus = nn.Parameter(torch.zeros(code, 1))
        self.encoder_in = nn.Conv1d(config.coefficients, hidden, 1)
        self.encoder = self._convolutions(config.encoder_layers)
        self.encoder_out = nn.Conv1d(hidden, 2 * config.latent, 1)
        self.decoder_in = nn.Conv1d(config.latent, hidden, 1)
        self.decoder = self._convolutions(config.decoder_layers)
        self.decoder_out = nn.Conv1d(hidden, config.coefficients, 1)
        self.prior = FlowPrior(
            channels=config.latent,
            hidden=config.flow_hidden,
            kernel=config.flow_kernel,
            layers=config.flow_layers,
            couplings=config.flow_couplings,
            condition=2 * code,
        )
        self.register_buffer("basis", torch.zeros(config.coefficients, MESH_POINTS, 3))
        self.register_buffer("spoken_gap", torch.tensor([0.0, 1.0]))
        self.register_buffer("speech_mean", torch.zeros(config.speech_features))
        self.register_buffer("speech_deviation", torch.ones(config.speech_features))

    def _convolutions(self, layers: int) -> DilatedConvolutions:
        config = self.config
        return DilatedConvolutions(
            hidden=config.hidden,
            kernel=config.kernel,
            dilations=[config.dilation_rate**layer for layer in range(layers)],
            condition=2 * config.code,
            dropout=config.dropout,
        )

    @property
    def reach_frames(self) -> int:
        """Frames on each side that a generated frame depends on: speech code, flow and decoder."""
        return 2 + self.prior.reach_frames + self.decoder.reach_frames

    def condition(
        self,
        speech: Tensor | None,  # [B, T, S]
        aus: Tensor | None,  # [B, T, A], or [B, T, 8] emotions
        *,
        drop_speech: Tensor | None = None,  # bool [B]
        drop_aus: Tensor | None = None,  # bool [B]
    ) -> Tensor:
        """Returns c_t = [a_t ; u_t], [B, 2 * code, T]; what is None or dropped becomes its learned null.

        A model that is conditioned on "audio_emotion" reads the probabilities of its own head, and not `aus`.

        Raises:
            ValueError: Both are None, so that the length is unknown.
        """
        given = speech if speech is not None else aus
        if given is None:
            raise ValueError("give speech features, Action Units or both")
        batch, frames = given.shape[:2]
        a, u = (null.expand(batch, -1, frames) for null in (self.no_speech, self.no_aus))
        if self.config.condition == "audio_emotion":
            heard = None if speech is None else self.emotion_logits(speech).softmax(-1)
            aus = None if heard is None else heard[:, None].expand(-1, frames, -1)
        if speech is not None:
            code = self._speech_code_of(speech)
            a = code if drop_speech is None else torch.where(drop_speech[:, None, None], a, code)
        if aus is not None:
            code = self.au_code(aus).transpose(1, 2)
            u = code if drop_aus is None else torch.where(drop_aus[:, None, None], u, code)
        return torch.cat([a, u], dim=1)

    def emotion_logits(self, speech: Tensor) -> Tensor:
        """Returns logits [B, 8] of `EMOTIONS` of recordings [B, T, S], for the condition "audio_emotion"."""
        normal = (speech - self.speech_mean) / self.speech_deviation
        return self.emotion_of_speech(normal).mean(1)

    def _speech_code_of(self, speech: Tensor) -> Tensor:
        """[B, T, S] → [B, code, T]; outside training piece by piece, so that memory does not grow with it."""
        step = speech.shape[1] if self.training else _CODED_AT_ONCE
        pieces: list[Tensor] = []
        for first in range(0, speech.shape[1], step):
            start = max(first - _CODE_REACH, 0)
            piece = speech[:, start : first + step + _CODE_REACH]
            normal = (piece - self.speech_mean) / self.speech_deviation
            pieces.append(self.speech_code(normal.transpose(1, 2))[..., first - start :][..., :step])
        return torch.cat(pieces, dim=2)

    def encode(self, coefficients: Tensor, condition: Tensor) -> Posterior:
        """Returns q(z_t | L_t, c_t) = N(mu_t, diag(exp(sigma_t))^2) of motion [B, T, K] (C, stage 1)."""
        hidden = self.encoder_in(coefficients.transpose(1, 2))
        mean, log_deviation = self.encoder_out(self.encoder(hidden, condition)).chunk(2, dim=1)
        return Posterior(mean, log_deviation.clamp(-6, 3))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """Returns the coefficients [B, T, K] decoded from z [B, latent, T]."""
        return self.decoder_out(self.decoder(self.decoder_in(z), condition)).transpose(1, 2)

    def forward(self, coefficients: Tensor, condition: Tensor) -> MotionOutput:
        """Encodes motion [B, T, K], samples z, decodes it, and estimates the KL to the flow prior."""
        posterior = self.encode(coefficients, condition)
        noise = torch.randn_like(posterior.mean)
        z = posterior.mean + noise * posterior.log_deviation.exp()  # z = mu + eps * exp(sigma)
        kl = (log_normal(noise) - posterior.log_deviation - log_normal(self.prior(z, condition))).mean()
        mode = self.prior.reverse(torch.zeros_like(z), condition)
        return MotionOutput(self.decode(z, condition), self.decode(mode, condition), kl)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,  # [1, 2 * code, T]
        *,
        seed: int,
        temperature: float,
        window_frames: int = 1024,
    ) -> Tensor:
        """Returns coefficients [T, K] generated in windows; the same for every window size.

        Each window is run with `reach_frames` more on both sides, which are cut off again; noise belongs to
        the frame, not to the window. So nothing is blended and there is no seam.
        """
        parts: list[Tensor] = []
        reach = self.reach_frames
        for span in spans(condition.shape[-1], window_frames, before=reach, after=reach):
            noise = frame_noise(seed, "motion", span.around.start, span.around.stop, self.config.latent)
            c = condition[..., span.around]
            z = self.prior.reverse(torch.from_numpy(noise.T[None]).to(c) * temperature, c)
            parts.append(self.decode(z, c)[0, span.inner])
        return torch.cat(parts)

    @property
    def speech_space(self) -> str:
        """Name of the speech features."""
        return self.config.speech_space

    @property
    def speech_features(self) -> int:
        """S."""
        return self.config.speech_features

    def draw(
        self,
        given: FaceConditions,
        *,
        style: Tensor,
        seed: int,
        purpose: str,
        sampling: FlowSampling,
        window_frames: int = 1024,
    ) -> Tensor:
        """Returns coefficients [T, K]; see `FaceModel.draw`. Style, steps and guidance have no effect.

        Where no Action Unit or label is specified, its half of the condition is the learned null.
        """
        second = _openface18(given.units) if self.config.condition == "aus" else given.emotions
        if given.speech is None and second is None:
            second = torch.zeros(given.frames, self.config.condition_width)
        with torch.no_grad():
            condition = self.condition(
                None if given.speech is None else given.speech[None],
                None if second is None else second[None].float(),
            )
        return self.sample(
            condition, seed=seed, temperature=sampling.temperature, window_frames=window_frames
        )

    def displacement(self, coefficients: Tensor) -> Tensor:
        """Returns the displacement from neutral [..., 478, 3] in millimetres of coefficients [..., K]."""
        return torch.einsum("...k,kpc->...pc", coefficients, self.basis)


def log_normal(x: Tensor) -> Tensor:
    """Returns log N(x; 0, 1), element by element."""
    return -0.5 * (x.square() + math.log(2 * math.pi))


def _openface18(units: Tensor | None) -> Tensor | None:
    """Paper C's u_t [T, 18] of controls [T, A]; None where none is specified."""
    if units is None or bool(units.isnan().all()):
        return None
    values = np.zeros((len(units), len(CONTROLS)))
    values[:, [CONTROLS.index(name) for name in CONDITIONING_CONTROLS]] = units.nan_to_num().numpy()
    found = np.array(convert(au_track(values, convention="facs", rate=Fraction(25)), "openface18").values)
    found[:, :17] /= 5  # intensities of 0 to 5; AU28 is present or not
    return torch.from_numpy(found.astype(np.float32))
