"""The message of the watermark as code bits: tool, run, checksum, convolutional code.

A message has 64 bits: 8 name the tool, 32 the run, 24 are a checksum. A convolutional code of rate 1/4 and
constraint length 9 (free distance 24), ended by eight zeros, makes 288 code bits of it. Soft decisions are
decoded to a list of the 64 likeliest messages, of which the checksum picks one. A random message passes the
checksum and names the tool with probability 2^-32, one of the list of a random word with 2^-26.
"""

import math
import zlib
from collections.abc import Iterator
from functools import cache
from heapq import heappop, heappush
from itertools import islice

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

LIST_SIZE = 64
"""Messages of which `decode` checks the checksum."""

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
    """Returns the run id of the likeliest message with a right checksum, or None.

    Of the 64 likeliest messages (list decoding) the first is taken that has the right checksum and names this
    tool. Each of them passes by chance with probability 2^-32.

    Args:
        soft: Soft decisions [288] in any unit: above 0 for 1, below for 0, exactly 0 where nothing is known.
    """
    for message in islice(_likeliest(np.asarray(soft, np.float32).reshape(-1, len(_GENERATORS))), LIST_SIZE):
        named = (message >> _CHECK_BITS).to_bytes((_MESSAGE_BITS - _CHECK_BITS) // 8, "big")
        if named[0] == _TOOL_ID and message & (1 << _CHECK_BITS) - 1 == _checksum(named):
            return named[1:].hex()
    return None


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


def _likeliest(soft: Floats) -> Iterator[int]:
    """Yields messages of 64 bits, the likeliest first; their paths start and end in state 0.

    Viterbi's algorithm gives the best score of every state. A search backwards from the last state, always
    from the best that is left, then meets whole paths in the order of their scores, since the rest of each
    path is known exactly.

    Args:
        soft: Soft decisions [72, 4].
    """
    before, signs = _trellis()
    score = np.full(1 << _MEMORY, -np.inf, np.float32)
    score[0] = 0
    steps: list[list[list[float]]] = []
    for values in soft:
        candidates = score[before] + signs @ values
        steps.append(candidates.tolist())
        score = candidates.max(1)
    states = before.tolist()
    # Loss against the best path, steps left, state, and the bits from there to the end.
    open_paths = [(0.0, len(steps), 0, 0)]
    while open_paths:
        loss, left, state, message = heappop(open_paths)
        while left:
            left -= 1
            if left < _MESSAGE_BITS:
                message |= (state >> _MEMORY - 1) << _MESSAGE_BITS - 1 - left
            first, second = steps[left][state]
            best = int(second > first)
            other = loss + abs(first - second)
            if math.isfinite(other):
                heappush(open_paths, (other, left, states[state][1 - best], message))
            state = states[state][best]
        yield message
