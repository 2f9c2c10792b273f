"""Still pictures in and out."""

import io
import re
import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from auteur.errors import MediaError, UsageError
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.orientation import upright
from auteur.media.output import marked_file
from auteur.media.source import Source, open_source
from auteur.provenance.mark import Mark
from auteur.watermark.embedding import embedder_of

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_HEIF_BRANDS = re.compile(rb"....ftyp(hei[cmxs]|hev[cmxs])|....ftyp(mif1|msf1)(?!.{0,32}avi[fs])", re.DOTALL)
_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
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
    RuntimeError,
)
_BACKGROUND = (255, 255, 255)


def read_image(
    path: Path | str, *, side_px: int | None = None, budget: Budget = DEFAULT_BUDGET
) -> NDArray[np.uint8]:
    """The picture in a file as uint8 RGB [H, W, 3], upright, in sRGB.

    PNG, JPEG, WEBP, AVIF, BMP, TIFF and GIF are read, and HEIC with the extra "heic". Orientation is
    applied; embedded colour profiles are converted to sRGB (relative colorimetric), CMYK without one by
    Pillow's rule; transparent parts are laid on white; grey becomes RGB; 16-bit grey is scaled to 8 bits;
    of an animation or several pages the first is taken.

    Args:
        path: The file.
        side_px: If given, a larger picture is reduced by a whole factor, its longer side staying at least so;
            memory then stays low for photos of 48 megapixels and more.
        budget: Limits.

    Raises:
        MediaError: The file is missing, damaged, too large, of another kind or of another colour mode.
    """
    with open_source(path, budget) as source:
        if source.family != "image":
            raise MediaError(f"{source.name} is not a picture; give a PNG, JPEG, WEBP, HEIC or AVIF file")
        with open_image(source, budget) as image:
            return upright_pixels(image, source.name, side_px=side_px)


def upright_pixels(image: Image.Image, name: str, *, side_px: int | None = None) -> NDArray[np.uint8]:
    """Returns an open picture as uint8 RGB [H, W, 3], as `read_image` does.

    Raises:
        MediaError: It has another colour mode.
    """
    pixels = _pixels(image, name, side_px)
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
        raise MediaError(
            f"{source.name} cannot be decoded ({error}); it is damaged, cut short or of a variety "
            "that is not "
            "read; save it as PNG or JPEG"
        ) from error


def _header(source: Source, budget: Budget) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns about sizes, which the budget refuses right after, and about damaged EXIF blocks.
        warnings.simplefilter("ignore")
        formats = ("HEIF",) if _is_heif(source) else _FORMATS
        try:
            return Image.open(source.file, formats=formats)
        except Image.DecompressionBombError as error:
            limit = budget.max_image_pixels / 1e6
            raise MediaError(
                f"{source.name} is far over {limit:g} megapixels; make it smaller first"
            ) from error


def _is_heif(source: Source) -> bool:
    """Whether it is a HEIC picture; its decoder, of the extra "heic", is registered with Pillow then.

    Raises:
        MediaError: The extra is not installed.
    """
    head = source.file.read(64)
    source.file.seek(0)
    if not _HEIF_BRANDS.match(head):
        return False
    try:
        import pi_heif
    except ImportError as error:
        raise MediaError(
            f"{source.name} is a HEIC picture; pip install 'auteur-face[heic]' reads them, or save it as JPEG"
        ) from error
    pi_heif.register_heif_opener()
    return True


def exif_orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where there is none, it is applied by the decoder, or EXIF is damaged."""
    if image.format in ("TIFF", "HEIF"):
        return 1
    orientation = _exif_value(image, ExifTags.Base.Orientation)
    return orientation if orientation in range(1, 9) else 1


def _exif_value(image: Image.Image, tag: int) -> Any:
    with warnings.catch_warnings(), suppress(*_DAMAGE):
        warnings.simplefilter("ignore")
        return image.getexif().get(tag)
    return None


def _pixels(image: Image.Image, name: str, side_px: int | None) -> NDArray[np.uint8]:
    factor = 1 if side_px is None else max(1, max(image.size) // side_px)
    if factor > 1:
        image.draft(None, (image.size[0] // factor, image.size[1] // factor))  # JPEG decodes fewer pixels
        factor = max(1, max(image.size) // (side_px or 1))
    image.load()
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        grey = np.clip((values + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[::factor, ::factor, None], 3, axis=2)
    image = _in_srgb(image)
    if factor > 1:
        is_direct = image.mode in ("L", "RGB", "RGBA", "CMYK", "LA")
        image = (image if is_direct else image.convert("RGBA")).reduce(factor)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (*_BACKGROUND, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    elif image.mode not in _MODES:
        raise MediaError(f"{name} has the colour mode {image.mode}; convert it to RGB, grey or CMYK")
    return np.array(image.convert("RGB"))


def _in_srgb(image: Image.Image) -> Image.Image:
    """The picture with its embedded colour profile converted; as it is without one, or with a damaged one."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "P"):
        return image
    has_alpha = image.has_transparency_data
    plain = {"P": "RGB", "RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)
    with suppress(ImageCms.PyCMSError, *_DAMAGE):
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(embedded).lower():
            return image
        alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
        converted = ImageCms.profileToProfile(
            image.convert(plain),
            embedded,
            cast("Any", ImageCms).createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if converted is None:
            return image
        if alpha is not None:
            converted.putalpha(alpha)
        return converted
    return image


def write_image(path: Path | str, image: NDArray[np.uint8], *, mark: Mark, overwrite: bool = False) -> None:
    """Writes a marked picture and its sidecar.

    Its pixels carry the watermark unless a side is below 96 px or the mark switches it off; the record says
    whether they do.

    Args:
        path: Where to write, ending in .png, .jpg, .jpeg or .webp; `<path>.json` is written beside it.
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
    embedder, mark = embedder_of(mark, (image.shape[1], image.shape[0]))
    picture = Image.fromarray(image if embedder is None else embedder(image))
    with marked_file(path, mark=mark, overwrite=overwrite) as temporary:
        if kind == "PNG":
            picture.save(temporary, kind, pnginfo=_png_text(mark))
        else:
            picture.save(temporary, kind, exif=_exif(mark), quality=95)


def save_marked_png(path: Path, image: NDArray[np.uint8], *, mark: Mark) -> None:
    """Writes uint8 RGB [H, W, 3] or RGBA [H, W, 4] as a marked PNG without a sidecar of its own.

    For pictures of one sequence, whose folder has the sidecar.
    """
    Image.fromarray(image).save(path, "PNG", pnginfo=_png_text(mark), compress_level=4)


def jpeg_bytes(image: NDArray[np.uint8], *, mark: Mark, quality: int = 82) -> bytes:
    """Returns a marked JPEG of uint8 RGB [H, W, 3] without watermark, for pages that hold their pictures.

    Raises:
        UsageError: The array is not a picture.
    """
    check_pixels(image)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", exif=_exif(replace(mark, watermark=False)), quality=quality)
    return out.getvalue()


def resized(image: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Returns uint8 RGB [H, W, 3] at another size, by Lanczos' filter."""
    check_pixels(image)
    return np.array(Image.fromarray(image).resize((width_px, height_px), Image.Resampling.LANCZOS))


def check_pixels(image: NDArray[np.uint8], *, channels: int = 3) -> None:
    """Refuses arrays that are not uint8 [H, W, channels], 3 of RGB or 4 of RGBA, with a pixel or more.

    Raises:
        UsageError: The array is none of these.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels or image.size == 0:
        raise UsageError(
            f"a picture is uint8 [height, width, {channels}]; this array is {image.dtype} {list(image.shape)}"
        )


def image_mark_text(image: Image.Image) -> str | None:
    """The text of a picture in which `write_image` puts the mark."""
    if image.format == "PNG":
        image.load()  # text may follow the pixels
        text = image.info.get("Comment")
    elif image.format == "GIF":
        text = image.info.get("comment", b"").decode("ascii", "replace")
    else:
        text = _exif_value(image, ExifTags.Base.ImageDescription)
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
