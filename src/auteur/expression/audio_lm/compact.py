"""The compact audio-language model: a small transformer that reads sound and writes the codec's text.

The prefix is the task (an order of the answer, perhaps an emotion), the prediction of the emotion ensemble,
and one embedding per 200 ms of sound. Text follows token by token. A text token also carries the sound of the
frame it belongs to and the units of the frame before; both follow from the text, and a model of a million
weights then need not find them by attention.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.acoustic_features import CHANNELS
from auteur.expression.audio_lm import vocabulary
from auteur.expression.audio_lm.codec import UNITS, VOICE_EMOTIONS
from auteur.expression.audio_lm.emotion_classifier import EmotionClassifierConfig, EmotionEnsemble
from auteur.weights import SavedModel

ROWS_PER_FRAME = 10
"""Rows of acoustic features (50 per second) per frame of text (5 per second)."""
MOST_FRAMES = 64
PLACES = 64

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, [B, heads, N, width / heads]."""


@dataclass(frozen=True, kw_only=True)
class AudioLMConfig:
    """Sizes; saved with the weights."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    sound: int = 96
    dropout: float = 0.1
    ear: EmotionClassifierConfig = field(default_factory=EmotionClassifierConfig)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prefix:
    """Embeddings before the text."""

    states: Tensor
    """[B, P, width]."""
    sound: Tensor
    """[B, T, width]: one embedding per frame."""
    heard: Tensor
    """Log probabilities of the emotion ensemble, [B, emotions]."""

    @staticmethod
    def stack(prefixes: "Sequence[Prefix]") -> "Prefix":
        """Returns the rows of all, one after the other."""
        return Prefix(
            states=torch.cat([one.states for one in prefixes]),
            sound=torch.cat([one.sound for one in prefixes]),
            heard=torch.cat([one.heard for one in prefixes]),
        )


class Block(nn.Module):
    """Pre-norm causal self-attention and a feed-forward layer."""

    def __init__(self, config: AudioLMConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.before_attention, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Returns states [B, N, width], and the keys and values of the positions."""
        mixed = self.queries_keys_values(self.before_attention(hidden))
        query, key, value = (
            each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in mixed.chunk(3, -1)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.dropout(self.join(seen.transpose(1, 2).flatten(2)))
        return hidden + self.dropout(self.feed(self.before_feed(hidden))), (key, value)


class AudioLM(SavedModel):
    """The model."""

    kind = "audio_lm"
    config_class = AudioLMConfig

    def __init__(self, config: AudioLMConfig | None = None) -> None:
        super().__init__()
        self.config = config or AudioLMConfig()
        width, sound = self.config.width, self.config.sound
        self.ear = EmotionEnsemble(self.config.ear)
        self.hearing = nn.Sequential(
            nn.Conv1d(CHANNELS, sound, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv1d(sound, sound, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(sound, width, 9, stride=ROWS_PER_FRAME // 2, padding=4),
        )
        self.hear_around = nn.Conv1d(width, width, 5, padding=2)
        self.heard = nn.Linear(len(VOICE_EMOTIONS), width)
        self.pieces = nn.Embedding(vocabulary.SIZE, width)
        self.places = nn.Embedding(PLACES, width)
        self.before = nn.Linear(len(UNITS), width)
        self.felt = nn.Embedding(len(VOICE_EMOTIONS) + 1, width)
        self.align = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(self.config) for _ in range(self.config.layers))
        self.last_norm = nn.LayerNorm(width)
        self.next = nn.Linear(width, vocabulary.SIZE)
        self.register_buffer("frame_codes", _codes(MOST_FRAMES, width), persistent=False)
        self.frame_codes: Tensor

    def prefix(self, prompt: Tensor, rows: Tensor, heard: Tensor, frames: int, *, offset: int = 0) -> Prefix:
        """Returns the prefix.

        Args:
            prompt: Tokens [B, 2] of the task: the order, then the given emotion or padding.
            rows: Acoustic features [B, N, CHANNELS].
            heard: Log probabilities of the emotion ensemble, [B, emotions].
            frames: Frames T of the text, at most `MOST_FRAMES`.
            offset: Number of the first frame, so that training sees every number.
        """
        sound = self.hearing(rows.transpose(1, 2))
        sound = sound + functional.gelu(self.hear_around(sound))
        sound = functional.pad(sound, (0, max(0, frames - sound.shape[2])))[..., :frames].transpose(1, 2)
        sound = sound + self.frame_codes[offset : offset + frames]
        heard_state = self.heard(heard.exp() * 4 - 0.4)[:, None]
        sound = sound + heard_state
        states = torch.cat([self.pieces(prompt), heard_state, sound], 1)
        return Prefix(states=states, sound=sound, heard=heard)

    def text_states(self, prefix: Prefix, lights: dict[str, Tensor]) -> Tensor:
        """Returns embeddings [B, N, width] of text tokens with their parse state (`vocabulary.Reader`).

        Args:
            prefix: From `prefix`.
            lights: "tokens", "frame", "place", "emotion" [B, N] and "previous" [B, N, 24].
        """
        frame = lights["frame"]
        index = frame.clamp(0, prefix.sound.shape[1] - 1)[..., None].expand(-1, -1, self.config.width)
        inside = (frame >= 0)[..., None]
        here = prefix.sound.gather(1, index) + self.before(lights["previous"])
        states = self.pieces(lights["tokens"]) + self.places(lights["place"].clamp(max=PLACES - 1))
        return states + self.felt(lights["emotion"] + 1) + torch.where(inside, self.align(here), 0.0)

    def run(self, states: Tensor, heard: Tensor) -> tuple[Tensor, Cache]:
        """Returns logits [B, N, vocabulary] and the cache from which `stepping.Stepper` goes on.

        The ensemble's log probabilities are added to the logits of the emotions, which the text then
        corrects.
        """
        cache: Cache = []
        for block in self.blocks:
            states, kept = block(states)
            cache.append(kept)
        logits = self.next(self.last_norm(states)).float()
        ear = torch.zeros_like(logits[:, :1])
        ear[:, 0, list(vocabulary.EMOTION_TOKENS)] = heard.float()
        return logits + ear, cache

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Returns the logits [B, N, vocabulary] that follow each text token; position 0 follows the prefix.

        The batch holds "prompt", "rows", "heard", "frames", "offset" and, of the text but its last token,
        "tokens", "frame", "place", "previous".
        """
        frames = int(batch["frames"].max())
        prefix = self.prefix(
            batch["prompt"], batch["rows"], batch["heard"], frames, offset=int(batch["offset"])
        )
        text = self.text_states(prefix, batch)
        logits, _ = self.run(torch.cat([prefix.states, text], 1), batch["heard"])
        return logits[:, prefix.states.shape[1] - 1 :]


def _codes(count: int, width: int) -> Tensor:
    """Sines and cosines of frame numbers, [count, width]."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(1_000.0) / width))
    angle = torch.arange(count)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1) * 0.5
