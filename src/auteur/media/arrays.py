"""Pictures and sound in memory: checked and converted to the form that files are read in."""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from auteur.errors import MediaError, UsageError
from auteur.media.audio import AudioBlocks, checked_blocks, open_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.image import open_image, upright_pixels
from auteur.media.source import Source, source_of_bytes
from auteur.media.speech import SpeechNotes, examine_blocks
from auteur.signals import Waveform

_PICTURE_CHANNELS = (1, 3, 4)
_MOST_CHANNELS = 8


def is_pillow_image(value: object) -> bool:
    """Returns whether a value is a Pillow image."""
    return isinstance(value, Image.Image)


def picture_from(value: object, name: str, *, budget: Budget = DEFAULT_BUDGET) -> NDArray[np.uint8]:
    """Returns uint8 RGB [H, W, 3] of a picture in memory, as `read_image` returns that of a file.

    Args:
        value: The bytes of a picture file, a Pillow image, or an array: [H, W], [H, W, C] or [C, H, W] with C
            of 1 (grey), 3 (RGB) or 4 (RGBA, laid on white), alone or in a batch of one; uint8, uint16 over
            their whole range, or floats in [0, 1].
        name: What to call it in errors.
        budget: Limits.

    Raises:
        MediaError: The bytes are no picture, or it is damaged or too large.
        UsageError: The array is no picture: another shape or type, empty, or values outside their range.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        source = source_of_bytes(bytes(cast("bytes", value)), name, budget)
        if source.family != "image":
            raise MediaError(f"{name} holds the bytes of no picture; give those of a PNG, JPEG or WEBP file")
    elif isinstance(value, Image.Image):
        content = io.BytesIO()
        budget.check_image(name, *value.size)
        orientation = value.getexif()
        image = (
            value if value.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16") else value.convert("RGB")
        )
        image.save(content, "PNG", exif=orientation, compress_level=0)
        source = Source(content, "image", name)
        content.seek(0)
    else:
        return _array_picture(value, name, budget)
    with open_image(source, budget) as image:
        return upright_pixels(image, name)


def _array_picture(value: object, name: str, budget: Budget) -> NDArray[np.uint8]:
    array = _channels_last(_array(value, name), name)
    budget.check_image(name, array.shape[1], array.shape[0])
    pixels = _as_bytes(array, name)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        share = pixels[..., 3:].astype(np.float32) / 255
        on_white = pixels[..., :3] * share + 255 * (1 - share)
        pixels = np.rint(on_white).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _array(value: object, name: str) -> NDArray[Any]:
    """Any array, of another library too, as one of NumPy."""
    if hasattr(value, "detach"):  # a torch tensor; torch is not needed to read it
        value = cast("Any", value).detach().cpu()
    array = np.asarray(value)
    if array.dtype == object or array.dtype.kind not in "uif":
        raise UsageError(f"{name} is {type(value).__name__} of {array.dtype}; give an array of numbers")
    return array


def _channels_last(array: NDArray[Any], name: str) -> NDArray[Any]:
    shape = list(array.shape)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 3 and array.shape[2] not in _PICTURE_CHANNELS and array.shape[0] in _PICTURE_CHANNELS:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in _PICTURE_CHANNELS or array.size == 0:
        raise UsageError(
            f"{name} has the shape {shape}; a picture is [height, width], [height, width, channels] or "
            "[channels, height, width] with 1, 3 or 4 channels and at least a pixel"
        )
    return array


def _as_bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind != "f":
        raise UsageError(f"{name} is of {array.dtype}; give uint8, uint16, or floats in [0, 1]")
    if not np.isfinite(array).all():
        raise UsageError(f"{name} holds NaN or infinity; every value must be in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        raise UsageError(
            f"{name} holds floats from {low:g} to {high:g}; scale them to [0, 1], or convert them to uint8"
        )
    return np.rint(array * 255).astype(np.uint8)


def sound_from(samples: object, rate_hz: object, name: str) -> tuple[Waveform, SpeechNotes]:
    """Returns mono sound of samples in memory at their own rate, and notes about its quality.

    Channels are mixed as those of a file are (`auteur.media.examine_speech`).

    Args:
        samples: [S], [S, C] or [C, S] (the shorter axis counts channels), alone or in a batch of one: floats
            with full scale [-1, 1], int16, int32, or uint8 around 128.
        rate_hz: Samples per second, 8,000 to 192,000.
        name: What to call it in errors.

    Raises:
        UsageError: The shape, type or rate is another.
        MediaError: It is shorter than 0.1 s, holds NaN or infinity, or is far beyond full scale.
    """
    whole = int(cast("int", rate_hz)) if isinstance(rate_hz, int | np.integer) else None
    if whole is None or isinstance(rate_hz, bool):
        raise UsageError(
            f"the sample rate of {name} is {rate_hz!r}; give a whole number of samples per second"
        )
    array = _array(samples, name)
    shape = list(array.shape)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T
    if array.ndim != 2 or array.size == 0 or array.shape[1] > _MOST_CHANNELS:
        raise UsageError(
            f"{name} has the shape {shape}; sound is [samples] or [samples, channels] with at least one "
            f"sample and at most {_MOST_CHANNELS} channels"
        )
    block = _as_floats(array, name)
    blocks: Iterator[NDArray[np.float32]] = iter([block])
    count = block.shape[1]
    audio = AudioBlocks(whole, "unknown", count, Fraction(len(block), whole or 1), blocks)
    return examine_blocks(checked_blocks(audio, name, DEFAULT_BUDGET), name)


def _as_floats(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype == np.int16 or array.dtype == np.int32:
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if array.dtype == np.uint8:
        return ((array.astype(np.float32) - 128) / 128).astype(np.float32)
    raise UsageError(
        f"{name} is of {array.dtype}; give floats with full scale [-1, 1], int16, int32, or uint8"
    )


def parse_colour(text: str) -> tuple[int, int, int]:
    """Returns (red, green, blue), 0 to 255 each, of a colour such as "white" or "#20c040".

    Raises:
        UsageError: It is no colour without transparency.
    """
    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        colour = ()
    if len(colour) != 3:
        raise UsageError(f"{text!r} is no colour; give one such as white or #20c040")
    return colour[0], colour[1], colour[2]


def sound_of_bytes(content: bytes, name: str) -> tuple[Waveform, SpeechNotes]:
    """Returns mono sound of the bytes of a sound file or video at its own rate, and notes about its quality.

    Raises:
        MediaError: As `auteur.media.examine_speech`.
    """
    source = source_of_bytes(content, name, DEFAULT_BUDGET)
    with open_audio(source, DEFAULT_BUDGET) as audio:
        return examine_blocks(audio, name)
