"""The expression generator: emotion, intensity and noise → a trajectory of expression vectors.

Paper B: EMOdiffhead (arXiv 2409.07255), part (c) of its figure 2. In the paper the generator is an
LSTM trained with discriminators and that the editing direction runs from neutral to the emotion; every size
and loss here is our reconstruction (`weights/expression_generator.md` lists what is whose).

Axes: B batch, T frames, E numbers per expression, Z numbers of noise.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from auteur.facs import EMOTIONS
from auteur.weights import SavedModel

LABELS = (*EMOTIONS[1:], "unlabelled")
"""Labels of a trajectory; neutral is every one of them at intensity 0. Footage without a
label has one of its own, so that it trains the motion of faces and not the look of emotions."""


NOISE_MEMORY = 9
"""Frames of white noise that one frame of smooth noise is made of, less one."""
_NOISE_DEVIATION = 1.5


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Sizes. The defaults are the shipped compact model's."""

    space: str = "compact50"
    """Convention of the vectors: the name of an `auteur.expression.space.ExpressionSpace`."""
    expression: int = 50
    """E."""
    emotion: int = 32
    """Width of an emotion's embedding."""
    noise: int = 16
    """Z of the sequence: person and manner."""
    frame_noise: int = 4
    """Z of every frame: without it the output of the LSTM decays to a constant in silence."""
    speech: int = 2
    """Numbers per frame of speech: loudness and its course (`auteur.expression.generator.speech_cues`)."""
    hidden: int = 128
    layers: int = 2
    frames_per_sec: int = 25
    """Rate of the trajectories."""

    @classmethod
    def full(cls) -> "GeneratorConfig":
        """Returns the sizes for MEAD and HDTF with DECA's vectors."""
        return cls(space="flame50", emotion=64, noise=64, frame_noise=8, hidden=256)


@dataclass(frozen=True, eq=False)
class Request:
    """Inputs of a batch of trajectories."""

    label: Tensor
    """Index into `LABELS`, int64 [B]."""
    intensity: Tensor
    """[B], 0 for neutral."""
    noise: Tensor
    """[B, Z], the same for the whole sequence."""
    frame_noise: Tensor
    """[B, T, Z], smooth over time (`smooth_noise`)."""
    speech: Tensor | None = None
    """[B, T, S]; None without speech."""
    heard: Tensor | None = None
    """bool [B]: which rows of `speech` are real; all unless given."""

    def neutral(self) -> "Request":
        """Returns the same request at intensity 0: the same person, noise and speech without the emotion."""
        return replace(self, intensity=torch.zeros_like(self.intensity))


class ExpressionGenerator(SavedModel):
    """An LSTM over time. At intensity 0 its output does not depend on the label at all."""

    kind = "expression_generator"
    config_class = GeneratorConfig

    scale: Tensor
    """[E]: standard deviation of each number on training footage."""
    liveliness: Tensor
    """[E]: factor on how far each number strays from its mean over time: what is learned with absolute errors
    moves less than people do."""
    apex: Tensor
    """[labels, E]: apex of each emotion, the mean of its edit over time. Clips, photographs and EMFACS
    disagree about a face; training on them gives one of several faces, chosen by noise and speech, or a
    smaller one. Trajectories are therefore shifted to vary around this one."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("scale", torch.ones(config.expression))
        self.register_buffer("apex", torch.zeros(len(LABELS), config.expression))
        self.register_buffer("liveliness", torch.ones(config.expression))
        self.emotion = nn.Embedding(len(LABELS), config.emotion)
        # The mean of each emotion; the LSTM adds its course over time.
        self.offset = nn.Embedding(len(LABELS), config.expression)
        nn.init.zeros_(self.offset.weight)
        self.no_speech = nn.Parameter(torch.zeros(config.speech))
        given = config.emotion + config.noise + config.frame_noise + config.speech
        self.start = nn.Linear(config.emotion + config.noise, 2 * config.layers * config.hidden)
        self.lstm = nn.LSTM(given, config.hidden, config.layers, batch_first=True)
        self.out = nn.Linear(config.hidden, config.expression)

    def forward(self, request: Request) -> Tensor:
        """Returns trajectories [B, T, E]."""
        frames = request.frame_noise.shape[1]
        # Neutral is the zero vector: strength scales the code, so that 0 forgets the label.
        emotion = self.emotion(request.label) * request.intensity[:, None]
        still = torch.cat([emotion, request.noise], dim=-1)
        steps = torch.cat(
            [still[:, None].expand(-1, frames, -1), request.frame_noise, self._speech(request, frames)],
            dim=-1,
        )
        hidden, _ = self.lstm(steps, self._begin(still))
        offset = self.offset(request.label) * request.intensity[:, None]
        return (self.out(hidden) + offset[:, None]) * self.scale

    def _speech(self, request: Request, frames: int) -> Tensor:
        nothing = self.no_speech.expand(len(request.label), frames, -1)
        if request.speech is None:
            return nothing
        if request.heard is None:
            return request.speech
        return torch.where(request.heard[:, None, None], request.speech, nothing)

    def _begin(self, still: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        state = self.start(still).view(len(still), 2, config.layers, config.hidden)
        first, cell = state.permute(1, 2, 0, 3).contiguous()
        return torch.tanh(first), cell


def smooth_noise(white: Tensor) -> Tensor:
    """Returns unit-variance noise [B, T, Z] as smooth as faces move, of white noise [B, T + NOISE_MEMORY, Z].

    White noise would come out of the generator as trembling above 6 Hz, which faces do not have.
    """
    places = torch.arange(NOISE_MEMORY + 1).to(white) - NOISE_MEMORY / 2
    kernel = torch.exp(-0.5 * (places / _NOISE_DEVIATION).square())
    kernel = kernel / kernel.square().sum().sqrt()
    return torch.einsum("btzk,k->btz", white.unfold(1, NOISE_MEMORY + 1, 1), kernel)
