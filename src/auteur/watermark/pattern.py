"""The pattern: a tile of chips, repeated over the picture.

Lengths are measured in units: the shorter side of a picture has 256 units (`UNITS`), whatever its size in
pixels. A tile is 128 units wide and high and holds 32 x 32 chips. A quarter of them are the same in every
picture and serve synchronisation; the others carry the code bits, each two or three times per tile. The tile
of a run is shifted by an amount that its run id fixes, so that two marks in one picture do not fall on each
other.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from auteur.signals.seeding import keyed_generator
from auteur.watermark.code import CODE_BITS, encode

UNITS = 256
"""Length of the shorter side of a picture."""
CHIPS, CHIP_UNITS = 32, 4
"""Chips along a tile, and length of a chip."""
TILE_UNITS = CHIPS * CHIP_UNITS

_SYNC_SHARE = 0.25
_PUBLIC_KEY = "auteur-watermark/1"
_FINE = 8
"""Samples per chip of the stored tile."""
_LOW, _HIGH = 0.22, 0.48
"""Edges of the pass band in cycles per chip; half a cycle is the highest frequency of alternating chips."""

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


@cache
def layout() -> tuple[Indices, Floats, Indices, Indices]:
    """Returns the places of chips in a tile as flat indices.

    Returns:
        Places of the synchronisation chips [S] and their signs [S]; places of the data chips [D] and the
        number of the code bit that each of them carries [D].
    """
    random = keyed_generator(_PUBLIC_KEY)
    places = random.permutation(CHIPS * CHIPS)
    count = round(_SYNC_SHARE * CHIPS * CHIPS)
    signs = random.permutation(np.resize([-1.0, 1.0], count)).astype(np.float32)
    data = places[count:]
    return places[:count], signs, data, np.arange(len(data)) % CODE_BITS


@cache
def whitening() -> Floats:
    """Returns signs [D] that multiply the data chips, so that no message makes a regular pattern."""
    _, _, data, _ = layout()
    random = keyed_generator(f"{_PUBLIC_KEY}:whitening")
    return random.choice(np.array([-1, 1], np.float32), len(data))


def chips_of(run_id: str) -> Floats:
    """Returns the chips of a run, signs [32, 32], before the shift.

    Raises:
        UsageError: The run id is none.
    """
    sync, signs, data, bits = layout()
    chips = np.empty(CHIPS * CHIPS, np.float32)
    chips[sync], chips[data] = signs, encode(run_id)[bits] * whitening()
    return chips.reshape(CHIPS, CHIPS)


def shift_of(run_id: str) -> tuple[int, int]:
    """Returns the shift of a run's tile in units, down and right, 0 to 127 each."""
    down, right = keyed_generator(f"{_PUBLIC_KEY}:{run_id}").integers(0, TILE_UNITS, 2)
    return int(down), int(right)


def band_pass(samples_per_chip: float, length: int) -> Floats:
    """Returns the response [length, length // 2 + 1] to the frequencies of a real FFT of a tile's samples."""
    rows = np.fft.fftfreq(length)[:, None] * samples_per_chip
    columns = np.fft.rfftfreq(length)[None] * samples_per_chip
    radius = np.hypot(rows, columns)
    return (np.exp(-((radius / _HIGH) ** 4)) * (1 - np.exp(-((radius / _LOW) ** 4)))).astype(np.float32)


def shaped(chips: Floats, samples_per_chip: int) -> Floats:
    """Returns chips [32, 32] as a band-limited, periodic tile [32 * samples_per_chip, the same]."""
    length = CHIPS * samples_per_chip
    impulses = np.zeros((length, length), np.float32)
    impulses[samples_per_chip // 2 :: samples_per_chip, samples_per_chip // 2 :: samples_per_chip] = chips
    spectrum = np.fft.rfft2(impulses) * band_pass(samples_per_chip, length)
    tile = np.fft.irfft2(spectrum, impulses.shape)
    return tile.astype(np.float32)


def pattern_of(run_id: str, size_px: tuple[int, int]) -> Floats:
    """Returns the pattern of a run over a picture of (width, height), [H, W], with a mean square of 1.

    Raises:
        UsageError: The run id is none.
    """
    tile = shaped(chips_of(run_id), _FINE)
    tile /= np.sqrt(np.mean(tile**2))
    px_per_unit = min(size_px) / UNITS
    down, right = shift_of(run_id)
    per_unit = _FINE / CHIP_UNITS
    rows = (np.arange(size_px[1]) + 0.5) / px_per_unit + down
    columns = (np.arange(size_px[0]) + 0.5) / px_per_unit + right
    return _sampled(_sampled(tile, rows * per_unit - 0.5).T, columns * per_unit - 0.5).T


def _sampled(tile: Floats, places: NDArray[np.floating]) -> Floats:
    """Returns rows of a periodic array at fractional places, by linear interpolation."""
    below = np.floor(places).astype(np.intp)
    share = (places - below).astype(np.float32)[:, None]
    first, second = tile[below % len(tile)], tile[(below + 1) % len(tile)]
    return (first + (second - first) * share).astype(np.float32)
