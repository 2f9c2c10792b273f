"""The matte: the published network as it is, edges that follow the picture, the person's own colours."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from auteur import weights
from auteur.errors import FormatError
from auteur.lab.train.matte import converted
from auteur.synthesis.matte import PortraitMatte
from auteur.synthesis.matte.network import Convolution, blank_segmenter
from auteur.synthesis.matte.refinement import guided_filter, person_colours

MODEL = Path(__file__).parents[3] / "shared" / "data" / "face" / "selfie_segmentation.tflite"
needs_model = pytest.mark.skipif(not MODEL.is_file(), reason="the optional data folder ../shared is absent")


def disc(side: int = 96) -> torch.Tensor:
    """1 in a disc, [1, side, side]."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (((x - side / 2) ** 2 + (y - side / 2) ** 2).sqrt() < side / 4).float()[None]


@pytest.mark.slow
def test_the_person_of_a_photo_is_found(astronaut, backend) -> None:
    reading = backend.find(astronaut)[0]
    portrait = torch.from_numpy(astronaut).permute(2, 0, 1).contiguous()
    person, matte = PortraitMatte.shipped().cut_out(portrait, torch.from_numpy(reading.landmarks))
    assert person.shape == portrait.shape and person.dtype == torch.uint8
    assert matte.shape == portrait.shape[1:] and matte.min() >= 0 and matte.max() <= 1
    x, y = reading.landmarks[:, :2].round().astype(int).T
    assert (matte[y, x] == 1).float().mean() > 0.97  # some points of the outline lie beside the cheek
    assert matte[300, 130] > 0.95  # the suit
    assert matte[:40, 330:].mean() < 0.05  # the wall, top right
    sure = matte == 1
    assert (person[:, sure] == portrait[:, sure]).all()


@needs_model
def test_the_shipped_weights_are_those_of_the_published_file() -> None:
    own = weights.load_shipped(blank_segmenter(), "matte").state_dict()
    tensors = converted(MODEL.read_bytes())
    assert own.keys() == tensors.keys()
    assert all(torch.equal(own[name], tensor.float()) for name, tensor in tensors.items())


@needs_model
@pytest.mark.parametrize("seed", range(30))
def test_damaged_model_files_are_refused_or_read(seed: int) -> None:
    chance = np.random.default_rng(seed)
    content = bytearray(MODEL.read_bytes())
    if seed % 2:
        content = content[: chance.integers(8, len(content))]
    else:
        for place in chance.integers(8, 4000, 20):
            content[place] = chance.integers(256)
    try:
        converted(bytes(content))
    except FormatError as error:
        assert str(error)


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(100), struct.pack("<I", 8) + b"TFL3"])
def test_what_is_no_model_file_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        converted(content)


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 1, 8), (3, 2, 8), (5, 2, 16), (5, 1, 9), (1, 1, 4)]
)
def test_padding_is_tensorflows(kernel: int, stride: int, side: int) -> None:
    """Output o of "same" padding reads from o * stride - total // 2 on."""
    layer = Convolution(1, 1, kernel, stride=stride)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[0, 0, 0, 0] = 1
        picture = torch.rand(1, 1, side, side)
        out = layer(picture)
    first = -(max(kernel - stride, 0) // 2)
    assert out.shape[-1] == -(-side // stride)
    for o in range(out.shape[-1]):
        at = o * stride + first
        assert out[0, 0, o, o] == (picture[0, 0, at, at] if 0 <= at < side else 0)


def test_a_blurred_mask_follows_the_edge_of_the_picture() -> None:
    mask = disc()
    colours = torch.tensor([0.8, 0.2, 0.1])[:, None, None] * mask
    picture = colours + (1 - mask) * torch.tensor([0.1, 0.3, 0.9])[:, None, None]
    blurred = torch.nn.functional.avg_pool2d(mask[None], 9, 1, 4)[0]
    refined = guided_filter(picture, blurred, 6)
    assert (blurred - mask).abs().max() > 0.4
    assert (refined - mask).abs().max() < 0.3


def test_a_flat_picture_leaves_the_mask_as_smooth_as_it_was() -> None:
    values = torch.full((1, 20, 20), 0.3)
    assert guided_filter(torch.zeros(3, 20, 20), values, 3) == pytest.approx(values, abs=1e-5)


def test_the_old_background_does_not_shine_through() -> None:
    mask = torch.nn.functional.avg_pool2d(disc()[None], 5, 1, 2)[0]
    red, green = (
        torch.tensor(c)[:, None, None].expand(3, 96, 96) for c in ([0.9, 0.1, 0.1], [0.1, 0.9, 0.1])
    )
    own = person_colours(mask * red + (1 - mask) * green, mask)
    assert (own - red).abs().max() < 0.05
