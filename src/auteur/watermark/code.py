"""The message of the watermark as code bits: tool, run, checksum, convolutional code.

A message has 64 bits: 8 name the tool, 32 the run, 24 are a checksum. A convolutional code of rate 1/4 and
constraint length 9 (free distance 24), ended by eight zeros, makes 288 code bits of it; soft decisions are
decoded by Viterbi's algorithm. A random word passes the checksum and names the tool with probability 2^-32.
"""

import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from auteur.provenance.mark import check_run_id

TOOL = "Auteur"
"""Name of the tool in readings."""

_TOOL_ID = 0xA7
_CHECK_BITS, _MESSAGE_BITS = 24, 64
_MEMORY = 8
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
"""Larsen, "Short convolutional codes with maximal free distance for rates 1/2, 1/3, and 1/4", 1973."""

CODE_BITS = (_MESSAGE_BITS + _MEMORY) * len(_GENERATORS)
"""Number of code bits of a message."""

Signs = NDArray[np.int8]
Floats = NDArray[np.float32]


def encode(run_id: str) -> Signs:
    """Returns the code bits of a run as signs [288], -1 for 0 and 1 for 1.

    Raises:
        UsageError: The run id is none.
    """
    named = bytes([_TOOL_ID]) + bytes.fromhex(check_run_id(run_id))
    message = int.from_bytes(named, "big") << _CHECK_BITS | _checksum(named)
    state, signs = 0, list[int]()
    for place in range(_MESSAGE_BITS - 1, -_MEMORY - 1, -1):
        window = (message >> place & 1 if place >= 0 else 0) << _MEMORY | state
        signs += [1 if (window & taps).bit_count() & 1 else -1 for taps in _GENERATORS]
        state = window >> 1
    return np.array(signs, np.int8)


def decode(soft: Floats) -> str | None:
    """Returns the run id of the likeliest message, or None if its checksum is wrong or it names another tool.

    Args:
        soft: Soft decisions [288] in any unit: above 0 for 1, below for 0, exactly 0 where nothing is known.
    """
    message = _viterbi(np.asarray(soft, np.float32).reshape(-1, len(_GENERATORS)))
    named = (message >> _CHECK_BITS).to_bytes((_MESSAGE_BITS - _CHECK_BITS) // 8, "big")
    is_ours = named[0] == _TOOL_ID and message & (1 << _CHECK_BITS) - 1 == _checksum(named)
    return named[1:].hex() if is_ours else None


def _checksum(named: bytes) -> int:
    return zlib.crc32(named) >> 32 - _CHECK_BITS


@cache
def _trellis() -> tuple[NDArray[np.intp], Floats]:
    """Returns the branches into each state, one per bit that left the register.

    Returns:
        The state before [256, 2], and the signs of the branch [256, 2, 4]. The newest bit of a state is its
        highest.
    """
    states = np.arange(1 << _MEMORY)[:, None]
    windows = states << 1 | np.arange(2)
    parity = np.array([[[(w & taps).bit_count() & 1 for taps in _GENERATORS] for w in pair]
                       for pair in windows.tolist()])  # fmt: skip
    return windows & (1 << _MEMORY) - 1, np.where(parity, 1, -1).astype(np.float32)


def _viterbi(soft: Floats) -> int:
    """Returns the 64 message bits of the path with the highest correlation; it starts and ends in state 0."""
    before, signs = _trellis()
    score = np.full(1 << _MEMORY, -np.inf, np.float32)
    score[0] = 0
    choices: list[NDArray[np.intp]] = []
    for values in soft:
        candidates = score[before] + signs @ values
        choices.append(candidates.argmax(1))
        score = candidates.max(1)
    state, message = 0, 0
    for step in range(len(choices) - 1, -1, -1):
        if step < _MESSAGE_BITS:
            message |= (state >> _MEMORY - 1) << _MESSAGE_BITS - 1 - step
        state = int(before[state, choices[step][state]])
    return message
