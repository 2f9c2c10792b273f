"""Pictures as people have them: other formats, colour profiles, photos of 48 megapixels."""

import importlib.util
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from media_samples import gradient
from PIL import Image, ImageCms

from auteur.errors import MediaError
from auteur.media import probe, read_image

HERE = Path(__file__).parent
HAS_HEIF = importlib.util.find_spec("pi_heif") is not None


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "AVIF", "GIF", "DIB"])
def test_other_formats_are_read(tmp_path: Path, kind: str) -> None:
    if kind == "DIB":  # a bare bitmap without its file header is no BMP
        Image.fromarray(gradient()).save(tmp_path / "a", format=kind)
        with pytest.raises(MediaError, match="known kind"):
            read_image(tmp_path / "a")
        return
    Image.fromarray(gradient()).save(tmp_path / "a", format=kind)
    tolerance = {"AVIF": 25, "GIF": 60}.get(kind, 0)
    assert np.abs(read_image(tmp_path / "a").astype(int) - gradient()).max() <= tolerance
    info = probe(tmp_path / "a")
    assert (info.kind, info.width_px, info.height_px) == ("image", 64, 48)


@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_in_every_format(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(np.rot90(gradient(), {3: 2, 6: 1, 8: -1}[orientation]))
    Image.fromarray(stored).save(tmp_path / "a", format=kind, exif=exif, quality=95)
    image = read_image(tmp_path / "a")
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - gradient()).mean() < 5
    info = probe(tmp_path / "a")
    assert (info.width_px, info.height_px) == (64, 48)


@pytest.mark.parametrize("kind", ["GIF", "AVIF", "TIFF"])
def test_the_first_frame_or_page_is_taken(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), (value, value, value)) for value in (40, 200)]
    frames[0].save(tmp_path / "a", format=kind, save_all=True, append_images=frames[1:])
    assert np.abs(read_image(tmp_path / "a").astype(int) - 40).max() <= 2


def test_a_transparent_gif_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.save(tmp_path / "a.gif", transparency=0)
    assert tuple(read_image(tmp_path / "a.gif")[0, 0]) == (255, 255, 255)


@pytest.mark.skipif(HAS_HEIF, reason="the extra heic is installed")
@pytest.mark.parametrize("name", ["gradient.heic"])
def test_heic_without_its_extra_names_both(name: str) -> None:
    for reader in (read_image, probe):
        with pytest.raises(MediaError, match=r"HEIC picture; pip install 'auteur-face\[heic\]'"):
            reader(HERE / name)


@pytest.mark.skipif(not HAS_HEIF, reason="needs the extra heic")
@pytest.mark.parametrize("name", ["gradient.heic"])
def test_heic_is_read_upright(name: str) -> None:
    image = read_image(HERE / name)
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - gradient()).mean() < 5
    info = probe(HERE / name)
    assert (info.width_px, info.height_px) == (64, 48)


def swapped_profile() -> bytes:
    """A profile whose red primary is sRGB's green and the other way round, as bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    entries = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace(b"s\0R\0G\0B", b"t\0e\0s\0t")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_colour_profile_is_converted(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (8, 8), (200, 40, 10))
    image = image.quantize() if mode == "P" else image.convert(mode)
    image.save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert np.abs(read_image(tmp_path / "a.png")[4, 4].astype(int) - (40, 200, 10)).max() <= 3


def test_a_transparent_picture_with_a_profile_keeps_its_alpha(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (200, 40, 10, 0)).save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert tuple(read_image(tmp_path / "a.png")[4, 4]) == (255, 255, 255)


@pytest.mark.parametrize("profile", [b"", b"junk", b"\0" * 200])
def test_a_damaged_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), gradient())


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(gradient()).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), gradient())


@pytest.mark.slow
def test_a_photo_of_48_megapixels_is_reduced_while_it_is_read(tmp_path: Path) -> None:
    photo = Image.fromarray(gradient()).resize((8064, 6048), Image.Resampling.BILINEAR)
    photo.save(tmp_path / "a.jpg", quality=80)
    tracemalloc.start()
    image = read_image(tmp_path / "a.jpg", side_px=1920)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(image.shape) >= 1920 and image.shape == (1512, 2016, 3)
    expected = np.array(photo.resize((2016, 1512), Image.Resampling.BOX)).astype(int)
    assert np.abs(image - expected).mean() < 2
    assert peak < 100e6


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16"])
def test_reducing_keeps_the_picture(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(gradient(640, 480))
    image = Image.new("I;16", (640, 480), 257 * 100) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "a.png")
    whole, reduced = read_image(tmp_path / "a.png"), read_image(tmp_path / "a.png", side_px=160)
    assert reduced.shape == (120, 160, 3)
    means = whole.reshape(120, 4, 160, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(reduced, means, atol=2)


def test_a_small_picture_is_not_touched(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", side_px=1920), gradient())


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_cut_files_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=kind)
    (tmp_path / "a").write_bytes(buffer.getvalue()[: int(share * buffer.tell())])
    with pytest.raises(MediaError):
        read_image(tmp_path / "a")
