"""Still pictures: every kind is read by rule, every size is bounded, every written one is marked."""

from pathlib import Path

import numpy as np
import pytest
from media_samples import gradient
from PIL import Image

from auteur.errors import InputError, MediaError, UsageError
from auteur.media import Budget, probe, read_image, write_image
from auteur.provenance import Mark


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = gradient(24, 16)
    # How a camera stores the upright picture for each value of the tag (EXIF 2.32).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)
    info = probe(tmp_path / "a.png")
    assert (info.kind, info.width_px, info.height_px) == ("image", 24, 16)


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f\xff\xff")
    Image.fromarray(gradient()).save(tmp_path / "without.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "without.jpg"))


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I;16", 65535, (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
    ],
)
def test_colour_modes(tmp_path: Path, mode: str, pixel: object, expected: tuple[int, int, int]) -> None:
    Image.new(mode, (5, 3), pixel).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert image.shape == (3, 5, 3)
    assert tuple(image[1, 1]) == expected


def test_cmyk_and_palette(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg")[4, 4].astype(int) - (255, 0, 0)).max() <= 3
    Image.new("RGB", (8, 8), (7, 8, 9)).quantize().save(tmp_path / "a.png")
    assert tuple(read_image(tmp_path / "a.png")[0, 0]) == (7, 8, 9)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (value, value, value)) for value in (40, 200)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert tuple(read_image(tmp_path / "a.webp")[0, 0]) == (40, 40, 40)


@pytest.mark.slow
@pytest.mark.parametrize("size_px", [(11_000, 10_001), (20_000, 10), (16_000, 7_000), (20_000, 10_000)])
def test_huge_pictures_are_refused_in_one_line(tmp_path: Path, size_px: tuple[int, int], capfd) -> None:
    Image.new("1", size_px).save(tmp_path / "a.png")
    with pytest.raises(MediaError) as error:
        read_image(tmp_path / "a.png")
    assert "110 megapixels" in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_10000_px_side_within_the_budget_is_read(tmp_path: Path) -> None:
    wide = Image.new("L", (10_000, 20))
    wide.putpixel((9_990, 3), 200)
    wide.save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.shape == (20, 10_000, 3)
    assert [axis.tolist() for axis in read.nonzero()] == [[3, 3, 3], [9_990] * 3, [0, 1, 2]]
    with pytest.raises(MediaError, match="10000x20 pixels"):
        read_image(tmp_path / "a.png", budget=Budget(max_image_pixels=1000))


@pytest.mark.parametrize("kind", ["PPM", "ICO", "PCX", "TGA"])
def test_other_picture_formats_are_refused(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png", format=kind)
    with pytest.raises(MediaError, match="HEIC AVIF BMP TIFF GIF"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp"])
def test_written_pictures_come_back(tmp_path: Path, mark: Mark, suffix: str) -> None:
    image = gradient()
    write_image(tmp_path / f"a{suffix}", image, mark=mark)
    tolerance = 0 if suffix == ".png" else 8
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - image).max() <= tolerance
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"a{suffix}.json"]


def test_bad_arrays_and_suffixes_are_usage_errors(tmp_path: Path, mark: Mark) -> None:
    for image in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(UsageError, match="uint8"):
            write_image(tmp_path / "a.png", image, mark=mark)
    with pytest.raises(UsageError, match=r"\.png"):
        write_image(tmp_path / "a.gif", gradient(), mark=mark)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_by_default(tmp_path: Path, mark: Mark) -> None:
    write_image(tmp_path / "a.png", gradient(), mark=mark)
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(InputError, match="overwrite"):
        write_image(tmp_path / "a.png", gradient(shift=9), mark=mark)
    assert (tmp_path / "a.png").read_bytes() == before
    write_image(tmp_path / "a.png", gradient(shift=9), mark=mark, overwrite=True)
    assert (tmp_path / "a.png").read_bytes() != before


def test_a_file_in_the_way_of_the_sidecar_is_kept(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "a.png.json").write_text("my notes")
    with pytest.raises(InputError, match="no sidecar"):
        write_image(tmp_path / "a.png", gradient(), mark=mark)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png.json"]
    assert (tmp_path / "a.png.json").read_text() == "my notes"
