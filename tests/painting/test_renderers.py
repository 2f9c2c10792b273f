"""What every renderer must do, and that one file and one row are enough for a new one."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from test_painting import SIZE_PX, loud, tiny_config
from toy_renderer import DotRenderer

from auteur import provenance
from auteur.errors import UsageError
from auteur.media import write_audio, write_image
from auteur.painting.inpaint_renderer import InpaintRenderer
from auteur.painting.loading import DenoiserBundle
from auteur.painting.registry import PUBLISHED, RENDERERS, RendererRow, load_renderer
from auteur.painting.warp_renderer import WarpRenderer
from auteur.signals import Waveform
from auteur.talking_head.talking_head import Settings, TalkingHead

pytestmark = pytest.mark.slow

MARK = provenance.Mark(watermark=False)
FRAMES = 20


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("render")
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=MARK)
    noise = np.random.default_rng(0).normal(0, 0.05, FRAMES * 640).astype(np.float32)
    write_audio(place / "talk.wav", Waveform(samples=noise, rate_hz=16000), mark=MARK)
    return place / "me.png", place / "talk.wav"


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    torch.set_num_threads(1)
    return TalkingHead.from_pretrained("warp")


@pytest.fixture(scope="module")
def renderers(head):
    bundle = DenoiserBundle(
        denoiser=loud(tiny_config()), size_px=SIZE_PX, speech=head._speech.phones, version="tiny"
    )
    return {"warp": WarpRenderer(), "inpaint": InpaintRenderer(bundle), "dots": DotRenderer()}


@pytest.fixture(params=["warp", "inpaint", "dots"])
def renderer(request, renderers):
    return renderers[request.param]


@pytest.fixture
def given(head, inputs):
    return head(*inputs, au={"AU12": 0.7}, settings=Settings(seed=1))._render_input


def test_all_frames_in_order_and_some_of_them_are_the_same(renderer, given):
    frames = list(renderer.frames(given))
    assert len(frames) == given.frame_count == FRAMES
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((257, 257, 3), "uint8")}
    some = list(renderer.frames(given, only=[1, 17]))
    assert np.array_equal(np.stack(some), np.stack([frames[1], frames[17]]))
    assert not np.array_equal(frames[1], frames[17])


def test_the_first_frame_comes_before_the_last_landmarks_are_made(renderer, given):
    needed: list[int] = []
    original = given.landmarks
    object.__setattr__(given, "landmarks", lambda first, stop: needed.append(stop) or original(first, stop))
    object.__setattr__(given, "frame_count", 10_000)
    frames = renderer.frames(given)
    next(frames)
    assert max(needed) < 100
    frames.close()
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


def test_its_description_can_be_serialised(renderer):
    assert all(isinstance(text, str) for pair in renderer.models.items() for text in pair)
    assert isinstance(renderer.is_sequential, bool)
    json.dumps(renderer.resolve({}))
    with pytest.raises(UsageError, match="steps"):
        renderer.resolve({"steps": 0})


def test_every_row_loads(head):
    shipped = RENDERERS.keys() - PUBLISHED - {"full"}
    assert {type(load_renderer(name, speech=head._speech.phones)) for name in shipped} == {
        WarpRenderer,
        InpaintRenderer,
    }
    assert all(row.summary for row in RENDERERS.values())
    with pytest.raises(UsageError, match="no preset 'dots'; choose one of compact, fast, warp, full"):
        load_renderer("dots", speech=head._speech.phones)
    with pytest.raises(UsageError, match="device 'cuda' has no effect"):
        load_renderer("fast", speech=head._speech.phones, device="cuda")


def test_one_file_and_one_row_reach_the_command(inputs, tmp_path, monkeypatch):
    from auteur.cli import main

    monkeypatch.setitem(RENDERERS, "dots", RendererRow("dots at the landmarks", load="toy_renderer:load"))
    out = tmp_path / "out.mp4"
    code = main(
        [
            "generate",
            *map(str, inputs),
            "-o",
            str(out),
            "--preset",
            "dots",
            "--sheet",
            str(tmp_path / "s.png"),
        ]
    )
    assert code == 0 and provenance.verify(out).verdict == "intact" and (tmp_path / "s.png").is_file()
    refused = main(
        ["generate", *map(str, inputs), "-o", str(tmp_path / "no.mp4"), "--preset", "dots", "--steps", "2"]
    )
    assert refused == 2 and not (tmp_path / "no.mp4").exists()
