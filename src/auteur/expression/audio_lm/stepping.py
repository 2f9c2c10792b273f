"""The compact model one token at a time, in NumPy on the same weights.

A token of a few passages is a thousandth of a second of torch's calls around a few microseconds of
arithmetic, and a recording of 10 s takes about 800 of them. `AudioLM.run` computes prefixes and is what
trains; a test holds both to the same logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.audio_lm import vocabulary
from auteur.expression.audio_lm.compact import PLACES, AudioLM, Block, Cache, Prefix

Floats = NDArray[np.float32]

_ROOM = 512
"""Positions for which keys and values have room at first; doubled when they are full."""


@dataclass(frozen=True, eq=False)
class _Linear:
    """x → x W + b."""

    weight: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        out = values @ self.weight
        out += self.bias
        return out


@dataclass(frozen=True, eq=False)
class _Layer:
    """A `Block`, the scale and shift of its normalisations moved into the linear layers behind them."""

    heads: int
    eps: float
    mix: _Linear
    join: _Linear
    widen: _Linear
    narrow: _Linear


class _Memory:
    """Keys and values of one layer, [B, heads, room, width / heads]."""

    def __init__(self, past: tuple[Tensor, Tensor]) -> None:
        rows, heads, self._used, width = past[0].shape
        self._kept = np.empty((2, rows, heads, max(_ROOM, 2 * self._used), width), np.float32)
        for kept, values in zip(self._kept, past, strict=True):
            kept[:, :, : self._used] = values.numpy()

    def add(self, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Appends [B, heads, width / heads]; returns those of all positions."""
        if self._used == self._kept.shape[3]:
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)], axis=3)
        self._kept[0, :, :, self._used], self._kept[1, :, :, self._used] = keys, values
        self._used += 1
        return self._kept[0, :, :, : self._used], self._kept[1, :, :, : self._used]

    def keep(self, rows: Sequence[int]) -> None:
        """Drops all other rows."""
        self._kept = self._kept[:, list(rows)]


class Stepper:
    """Computes what follows each further token of some passages.

    Args:
        model: In evaluation mode.
        prefix: Of the passages.
        cache: Of `AudioLM.run` on the prefix.
    """

    def __init__(self, model: AudioLM, prefix: Prefix, cache: Cache) -> None:
        self._layers = [_layer_of(block) for block in model.blocks if isinstance(block, Block)]
        self._memories = [_Memory(past) for past in cache]
        self._pieces, self._places, self._felt = (
            _floats(embedding.weight) for embedding in (model.pieces, model.places, model.felt)
        )
        self._before, self._align = _linear_of(model.before), _linear_of(model.align)
        self._last = _linear_of(model.next, model.last_norm)
        self._eps = model.last_norm.eps
        self._sound, self._heard = _floats(prefix.sound), _floats(prefix.heard)

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some of the passages only."""
        self._sound, self._heard = self._sound[list(rows)], self._heard[list(rows)]
        for memory in self._memories:
            memory.keep(rows)

    def __call__(self, tokens: Sequence[int], readers: Sequence[vocabulary.Reader]) -> Floats:
        """Returns the logits [B, vocabulary] after one more token of each passage, as `AudioLM.run` does.

        Args:
            tokens: The token of each.
            readers: Parse states after it.
        """
        states = self._entering(tokens, readers)
        for layer, memory in zip(self._layers, self._memories, strict=True):
            states += _attended(layer, memory, _normalised(states, layer.eps))
            wide = layer.widen(_normalised(states, layer.eps))
            states += layer.narrow(functional.gelu(torch.from_numpy(wide)).numpy())
        logits = self._last(_normalised(states, self._eps))
        logits[:, list(vocabulary.EMOTION_TOKENS)] += self._heard
        return logits

    def _entering(self, tokens: Sequence[int], readers: Sequence[vocabulary.Reader]) -> Floats:
        """`AudioLM.text_states` of one token, [B, width]."""
        frames = np.array([reader.frame for reader in readers])
        places = np.array([min(reader.place, PLACES - 1) for reader in readers])
        felt = np.array([reader.emotion + 1 for reader in readers])
        previous = np.stack([reader.previous for reader in readers])
        rows, last = np.arange(len(readers)), self._sound.shape[1] - 1
        here = self._align(self._sound[rows, frames.clip(0, last)] + self._before(previous))
        here[frames < 0] = 0
        return self._pieces[list(tokens)] + self._places[places] + self._felt[felt] + here


def _attended(layer: _Layer, memory: _Memory, states: Floats) -> Floats:
    """Self-attention of the newest position [B, width] to all."""
    rows, width = states.shape
    query, key, value = layer.mix(states).reshape(rows, 3, layer.heads, -1).swapaxes(0, 1)
    keys, values = memory.add(key, value)
    weight = (keys @ query[..., None])[..., 0]
    weight -= weight.max(-1, keepdims=True)
    np.exp(weight, out=weight)
    weight /= weight.sum(-1, keepdims=True)
    return layer.join((weight[:, :, None] @ values).reshape(rows, width))


def _normalised(values: Floats, eps: float) -> Floats:
    """Rows [B, width] with mean 0 and variance 1."""
    centred = values - values.mean(-1, keepdims=True)
    variance = np.einsum("bw,bw->b", centred, centred) / values.shape[1]
    centred /= np.sqrt(variance + np.float32(eps))[:, None]
    return centred


def _layer_of(block: Block) -> _Layer:
    mix = _linear_of(block.queries_keys_values, block.before_attention)
    width = block.join.in_features
    # Attention divides by the root of a head's width: here the queries come out divided.
    scale = np.ones(3 * width, np.float32)
    scale[:width] = (width // block.heads) ** -0.5
    widen, narrow = block.feed[0], block.feed[2]
    assert isinstance(widen, nn.Linear)  # noqa: S101 - for the type checker
    assert isinstance(narrow, nn.Linear)  # noqa: S101 - for the type checker
    return _Layer(
        heads=block.heads,
        eps=block.before_attention.eps,
        mix=_Linear(mix.weight * scale, mix.bias * scale),
        join=_linear_of(block.join),
        widen=_linear_of(widen, block.before_feed),
        narrow=_linear_of(narrow),
    )


def _linear_of(linear: nn.Linear, norm: nn.LayerNorm | None = None) -> _Linear:
    """A linear layer, behind the scale and shift of a normalisation."""
    weight, bias = _floats(linear.weight).T, _floats(linear.bias)
    if norm is not None:
        bias = np.add(bias, _floats(norm.bias) @ weight, dtype=np.float32)
        weight = _floats(norm.weight)[:, None] * weight
    return _Linear(np.ascontiguousarray(weight), bias)


def _floats(values: Tensor) -> Floats:
    return values.detach().float().numpy()
