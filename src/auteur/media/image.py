"""Still pictures in and out."""

import io
import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from auteur.errors import MediaError, UsageError
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.orientation import upright
from auteur.media.output import marked_file
from auteur.media.source import Source, open_source
from auteur.provenance.mark import Mark

_FORMATS = ("PNG", "JPEG", "WEBP")
_FORMAT_OF_SUFFIX = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
# What Pillow's decoders raise on damaged bytes.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
)
_BACKGROUND = (255, 255, 255)


def read_image(path: Path | str, *, budget: Budget = DEFAULT_BUDGET) -> NDArray[np.uint8]:
    """The picture in a PNG, JPEG or WEBP file as uint8 RGB [H, W, 3], upright.

    EXIF orientation is applied; transparent parts are laid on white; grey becomes RGB; 16-bit grey is scaled
    to 8 bits; CMYK is converted without its colour profile; of an animation the first frame is taken. Colour
    profiles are ignored.

    Raises:
        MediaError: The file is missing, damaged, too large, of another kind or of another colour mode.
    """
    with open_source(path, budget) as source:
        if source.family != "image":
            raise MediaError(f"{source.name} is not a picture; give a PNG, JPEG or WEBP file")
        with open_image(source, budget) as image:
            pixels = _pixels(image, source.name)
            return upright(pixels, exif_orientation(image))


@contextmanager
def open_image(source: Source, budget: Budget) -> Generator[Image.Image]:
    """Opens a picture without decoding its pixels; damage met inside the block becomes `MediaError`.

    Raises:
        MediaError: The picture is damaged or over the budget.
    """
    try:
        with _header(source, budget) as image:
            budget.check_image(source.name, *image.size)
            yield image
    except MediaError:
        raise
    except _DAMAGE as error:
        raise MediaError(f"{source.name} cannot be decoded ({error}); it is damaged or cut short") from error


def _header(source: Source, budget: Budget) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns about sizes, which the budget refuses right after, and about damaged EXIF blocks.
        warnings.simplefilter("ignore")
        try:
            return Image.open(source.file, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            limit = budget.max_image_pixels / 1e6
            raise MediaError(
                f"{source.name} is far over {limit:g} megapixels; make it smaller first"
            ) from error


def exif_orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where there is none or the EXIF block cannot be read."""
    orientation = _exif_value(image, ExifTags.Base.Orientation)
    return orientation if orientation in range(1, 9) else 1


def _exif_value(image: Image.Image, tag: int) -> Any:
    with warnings.catch_warnings(), suppress(*_DAMAGE):
        warnings.simplefilter("ignore")
        return image.getexif().get(tag)
    return None


def _pixels(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image.load()
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        grey = np.clip((values + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (*_BACKGROUND, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    elif image.mode not in ("1", "L", "P", "RGB", "CMYK"):
        raise MediaError(f"{name} has the colour mode {image.mode}; convert it to RGB, grey or CMYK")
    return np.array(image.convert("RGB"))


def write_image(path: Path | str, image: NDArray[np.uint8], *, mark: Mark, overwrite: bool = False) -> None:
    """Writes a marked picture and its sidecar; the kind follows the suffix (.png, .jpg, .jpeg, .webp).

    Args:
        path: Where to write; `<path>.json` is written beside it.
        image: uint8 RGB [H, W, 3].
        mark: How the picture was made.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        UsageError: The array is not a picture or the suffix names no kind that is written.
        InputError: The file cannot be written.
    """
    path = Path(path)
    check_pixels(image)
    kind = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{path.name!r} does not end in one of {', '.join(_FORMAT_OF_SUFFIX)}; choose one of them"
        )
    picture = Image.fromarray(image)
    with marked_file(path, mark=mark, overwrite=overwrite) as temporary:
        if kind == "PNG":
            picture.save(temporary, kind, pnginfo=_png_text(mark))
        else:
            picture.save(temporary, kind, exif=_exif(mark), quality=95)


def jpeg_bytes(image: NDArray[np.uint8], *, mark: Mark, quality: int = 82) -> bytes:
    """Returns a marked JPEG of uint8 RGB [H, W, 3], for pages that hold their pictures themselves.

    Raises:
        UsageError: The array is not a picture.
    """
    check_pixels(image)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", exif=_exif(mark), quality=quality)
    return out.getvalue()


def resized(image: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Returns uint8 RGB [H, W, 3] at another size, by Lanczos' filter."""
    check_pixels(image)
    return np.array(Image.fromarray(image).resize((width_px, height_px), Image.Resampling.LANCZOS))


def check_pixels(image: NDArray[np.uint8]) -> None:
    """Refuses arrays that are not uint8 RGB [H, W, 3] with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise UsageError(
            f"a picture is uint8 [height, width, 3]; this array is {image.dtype} {list(image.shape)}"
        )


def image_mark_text(image: Image.Image) -> str | None:
    """The text in which `write_image` puts the mark, whatever it holds now."""
    if image.format == "PNG":
        image.load()  # text may follow the pixels
    text = (
        image.info.get("Comment")
        if image.format == "PNG"
        else _exif_value(image, ExifTags.Base.ImageDescription)
    )
    return text if isinstance(text, str) else None


def _png_text(mark: Mark) -> PngInfo:
    text = PngInfo()
    text.add_text("Comment", mark.container_text())
    text.add_text("Software", f"{mark.tool} {mark.version}")
    return text


def _exif(mark: Mark) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = mark.container_text()
    exif[ExifTags.Base.Software] = f"{mark.tool} {mark.version}"
    return exif
