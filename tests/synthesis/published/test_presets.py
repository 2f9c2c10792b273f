"""From converted folders of tiny networks to videos: the three presets end to end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from tiny_published import write_checkpoint

from auteur import provenance
from auteur.cli import main
from auteur.errors import UsageError
from auteur.media import write_audio, write_image
from auteur.painting import published_renderer
from auteur.painting.published_inputs import emotion_class, head_square
from auteur.painting.published_renderer import load
from auteur.signals import Waveform
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.published import compilation
from auteur.synthesis.published.adapter import ADAPTER_FILE, new_adapter, save_adapter
from auteur.synthesis.published.convert import convert_checkpoint
from auteur.synthesis.published.memo import EMOTION_CLASSES
from auteur.talking_head.talking_head import Settings, TalkingHead

pytestmark = pytest.mark.slow

KINDS = ("aniportrait", "hallo", "memo")
FRAMES = 19
"""One window and three frames of the next."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("presets")
    for kind in KINDS:
        write_checkpoint(kind, root / "downloaded" / kind)
        place = convert_checkpoint(root / "downloaded" / kind, root / kind)
        description = json.loads((place / "published.json").read_text())
        (place / "published.json").write_text(json.dumps(description | {"size_px": 128}))
    return {kind: root / kind for kind in KINDS}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    place, mark = tmp_path_factory.mktemp("inputs"), provenance.Mark(watermark=False)
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=mark)
    noise = np.random.default_rng(0).normal(0, 0.05, FRAMES * 640).astype(np.float32)
    write_audio(place / "talk.wav", Waveform(samples=noise, rate_hz=16000), mark=mark)
    return place / "me.png", place / "talk.wav"


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    torch.set_num_threads(1)
    return TalkingHead.from_pretrained("warp")


def given(head, inputs, **performance):
    """A performed video, to be rendered in one step."""
    render_input = head(*inputs, settings=Settings(seed=1), **performance)._render_input
    return replace(render_input, options={"steps": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_from_a_portrait_and_speech(kind, folders, inputs, tmp_path: Path, capsys) -> None:
    me, talk = map(str, inputs)
    out = tmp_path / "out.mp4"
    options = f"--preset {folders[kind]} --device cpu --steps 1 --emotion happy".split()
    assert main(["generate", me, talk, "-o", str(out), *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["frames"] == FRAMES
    assert kind in result["models"]
    assert out.stat().st_size > 1000


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_the_portrait_around_a_generated_square(kind, folders, inputs, head) -> None:
    renderer = load(folders[kind], head._speech.phones, "cpu")
    render_input = given(head, inputs)
    frames = np.stack(list(renderer.frames(render_input)))
    assert frames.shape == (FRAMES, 257, 257, 3)
    square, portrait = head_square(render_input, 128), render_input.portrait.permute(1, 2, 0).numpy()
    outside = np.ones((257, 257), bool)
    outside[square.region.box] = False
    assert (frames[:, outside] == portrait[outside]).all()
    assert (frames != portrait).any()
    again = np.stack(list(renderer.frames(render_input, only=[2, 17])))
    assert np.array_equal(again, frames[[2, 17]])


def test_an_identity_changes_the_picture_and_is_recorded(folders, inputs, tmp_path: Path, capsys) -> None:
    me, talk = map(str, inputs)
    np.save(tmp_path / "face.npy", np.linspace(-2, 2, 20))
    options = f"--preset {folders['hallo']} --device cpu --steps 1 --sampler dpm --seconds 0.1 --json".split()
    frames: list[bytes] = []
    for number, given in enumerate(([], ["--identity", str(tmp_path / "face.npy")])):
        out = tmp_path / f"frames{number}"
        assert main(["generate", me, talk, "-o", str(out), *options, *given]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        identity = "embedding is that of face.npy" if given else "no face embedding: zeros"
        assert any(identity in line for line in result["notes"])
        frames.append(sorted(out.glob("*.png"))[0].read_bytes())
    assert frames[0] != frames[1]
    assert main(["generate", me, talk, "-o", str(tmp_path / "x.mp4"), "--sampler", "dpm"]) == 2
    assert "sampler: no effect" in capsys.readouterr().err


def test_compiled_blocks_render_the_same(folders, inputs, head, monkeypatch) -> None:
    traced: list[object] = []

    def keep(graph, _):
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(compilation, "BACKEND", keep)
    # Two blocks show that they are compiled; tracing all takes a minute.
    monkeypatch.setattr(compilation, "blocks_of", lambda unet: iter(unet.mid_block.resnets))
    renderer = load(folders["memo"], head._speech.phones, "cpu")
    render_input = given(head, inputs)
    plain = next(renderer.frames(render_input))
    assert not traced
    made = next(renderer.frames(replace(render_input, options={"steps": 1, "compile": True})))
    assert traced
    assert np.abs(made.astype(int) - plain).max() <= 1


def test_a_single_frame_is_that_of_the_video(folders, inputs, head) -> None:
    renderer = load(folders["hallo"], head._speech.phones, "cpu")
    render_input = given(head, inputs)
    (alone,) = renderer.frames(render_input, first=3, stop=4)
    assert np.array_equal(alone, list(renderer.frames(render_input, stop=4))[3])


def test_aniportrait_obeys_the_performance(folders, inputs, head) -> None:
    renderer = load(folders["aniportrait"], head._speech.phones, "cpu")
    calm, smiling = (list(renderer.frames(given(head, inputs, au=au))) for au in ({}, {"AU12": 1.0}))
    assert not np.array_equal(calm[10], smiling[10])


def test_long_videos_of_aniportrait_are_made_in_pieces_that_overlap(
    folders, inputs, head, monkeypatch
) -> None:
    monkeypatch.setattr(published_renderer, "LONGEST", 12)
    renderer = load(folders["aniportrait"], head._speech.phones, "cpu")
    assert len(list(renderer.frames(given(head, inputs)))) == FRAMES


@pytest.mark.parametrize("kind", ("hallo", "memo"))
def test_an_untrained_adapter_changes_no_bit_and_a_trained_one_does(
    kind, folders, inputs, head, tmp_path
) -> None:
    renderer = load(folders[kind], head._speech.phones, "cpu")
    render_input = given(head, inputs, au={"AU12": 1.0})
    plain = np.stack(list(renderer.frames(render_input)))
    networks = renderer.model.networks
    unet = networks.get_submodule("denoising_unet" if kind == "hallo" else "diffusion_net")
    torch.manual_seed(3)
    adapter = new_adapter(unet, AUConfig(width=16, grid=2, head=16))
    networks.adapter = adapter
    assert np.array_equal(np.stack(list(renderer.frames(render_input))), plain)
    for module in adapter.adapters.values():
        torch.nn.init.normal_(module.attention.to_out[0].weight)
    changed = np.stack(list(renderer.frames(render_input)))
    assert not np.array_equal(changed, plain)
    other = np.stack(list(renderer.frames(given(head, inputs, au={"AU4": 1.0}))))
    assert not np.array_equal(changed, other)
    save_adapter(adapter, folders[kind] / ADAPTER_FILE)
    try:
        loaded = load(folders[kind], head._speech.phones, "cpu")
        found = loaded.model.networks.adapter.state_dict()
        assert all(torch.equal(found[name], value) for name, value in adapter.state_dict().items())
        # Products round by where weights lie in memory, from some versions of torch on.
        assert np.abs(np.stack(list(loaded.frames(render_input))).astype(int) - changed).max() <= 1
    finally:
        (folders[kind] / ADAPTER_FILE).unlink()


@pytest.mark.parametrize(
    ("emotion", "wanted"),
    [
        ("happy", "happy"),
        ("sad", "sad"),
        ("angry", "angry"),
        ("fear", "fearful"),
        ("disgusted", "disgusted"),
        ("surprised", "surprised"),
        ("contempt", "other"),
        (None, "neutral"),
    ],
)
def test_our_emotions_are_memos(emotion, wanted, inputs, head) -> None:
    render_input = given(head, inputs, **({} if emotion is None else {"emotion": emotion}))
    assert EMOTION_CLASSES[emotion_class(render_input.action_units, 0, 16)] == wanted


def test_what_has_no_effect_or_is_not_there_is_named(folders, head, capsys) -> None:
    renderer = load(folders["hallo"], head._speech.phones, "cpu")
    assert renderer.resolve({}) == {"steps": 40, "audio_guidance": 3.5}
    assert renderer.resolve({"steps": 3, "audio_guidance": 1.0})["steps"] == 3
    for options, match in (({"window": 8}, "window: no effect"), ({"steps": 0}, "steps is 0")):
        with pytest.raises(UsageError, match=match):
            renderer.resolve(options)
    for kind in KINDS:
        with pytest.raises(UsageError, match="auteur convert DOWNLOADED"):
            TalkingHead.from_pretrained(kind)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="need a CUDA GPU"):
            TalkingHead.from_pretrained(folders["memo"])


def test_the_command_converts(folders, tmp_path: Path, capsys) -> None:
    downloaded = folders["memo"].parent / "downloaded" / "memo"
    assert main(["convert", str(downloaded), "-o", str(tmp_path / "memo"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["model"] == "memo"
    assert any("RAIL-M" in line for line in result["licences"])
    assert main(["convert", str(downloaded), "-o", str(tmp_path / "memo")]) == 3
    assert "exists already" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "absent"), "-o", str(tmp_path / "x")]) == 3
