"""A video as a sequence: length, single frames, arrays, part, size, background, and what a notebook shows."""

import base64
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from auteur import provenance
from auteur.errors import UsageError
from auteur.face.auteur_backend import AuteurBackend
from auteur.media import probe, write_audio, write_image
from auteur.signals import Waveform
from auteur.talking_head import talking_video
from auteur.talking_head.talking_head import TalkingHead
from auteur.watermark import embed

MARK = provenance.Mark(watermark=False)


@pytest.fixture(scope="module")
def portrait(astronaut) -> np.ndarray:
    return np.ascontiguousarray(astronaut[0:257, 96:353])


@pytest.fixture(scope="module")
def speech() -> Waveform:
    noise = np.random.default_rng(0).normal(0, 0.05, 16_000)
    return Waveform(samples=noise.astype(np.float32), rate_hz=16_000)


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    return TalkingHead.from_pretrained("warp")


@pytest.fixture(scope="module")
def video(head, portrait, speech):
    return head(portrait, speech, emotion="happy", fps=10)


@pytest.mark.slow
def test_it_is_a_sequence(video) -> None:
    assert len(video) == video.frame_count == 10
    assert (video.fps, video.duration, video.size_px) == (10, 1, (257, 257))
    every = list(video)
    whole = video.to_numpy()
    assert whole.shape == (10, 257, 257, 3) and whole.dtype == np.uint8
    assert np.array_equal(np.stack(every), whole)
    assert "10 frames of 257x257" in repr(video)


@pytest.mark.slow
def test_one_frame_alone_is_that_of_the_whole_video(video) -> None:
    whole = video.to_numpy()
    for time_sec, number in [(0, 0), (0.05, 0), (0.1, 1), (Fraction(99, 100), 9), (1, 9), (0.55, 5)]:
        assert np.array_equal(video.frame(time_sec), whole[number])


@pytest.mark.slow
def test_a_painted_frame_alone_is_near_that_of_the_whole_video(portrait, speech) -> None:
    video = TalkingHead.from_pretrained("compact")(portrait, speech, fps=10, au={"AU26": 0.6}, seconds=0.6)
    whole = video.to_numpy().astype(int)
    for number in (0, 3, 5):
        difference = np.abs(video.frame(number / 10) - whole[number])
        assert difference.mean() < 0.2 and difference.max() < 40


@pytest.mark.slow
@pytest.mark.parametrize("time_sec", [-0.01, 1.01, float("nan"), float("inf")])
def test_there_is_no_frame_outside_the_video(video, time_sec: float) -> None:
    with pytest.raises(UsageError, match="0 to 1 s"):
        video.frame(time_sec)


def test_too_many_frames_for_memory_are_refused(video, monkeypatch) -> None:
    monkeypatch.setattr(talking_video, "MOST_BYTES_AT_ONCE", 1_000_000)
    with pytest.raises(UsageError, match="frame by frame"):
        video.to_numpy()


@pytest.mark.slow
def test_a_preview_is_the_beginning_of_the_whole(head, portrait, speech, video, tmp_path) -> None:
    short = head(portrait, speech, emotion="happy", fps=10, seconds=0.3)
    assert len(short) == 3
    assert np.array_equal(short.to_numpy(), video.to_numpy()[:3])
    short.save(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert float(container.duration / 1e6) <= 0.3 + 0.1 + 0.07  # sound: a frame and a block of AAC more
    assert short.mark.settings["seconds"] == 0.3 and "seconds" not in video.mark.settings
    assert len(head(portrait, speech, seconds=99)) == 25


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": 4000},
        {"crop": "9"},
        {"size": 10},
        {"quality": "ultra"},
        {"background": "nowhere.png"},
        {"background": "#12"},
        {"background": "#20c04080"},
    ],
    ids=str,
)
def test_values_outside_their_range_are_named(head, portrait, speech, wrong) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        head(portrait, speech, **wrong)


def test_unknown_keywords_are_named(head, portrait, speech) -> None:
    with pytest.raises(TypeError, match="'seed'"):
        head(portrait, speech, sed=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "written"), [("128", (128, 128)), ("96x160", (96, 160)), ("300", (300, 300))]
)
def test_a_size_is_written_and_landmarks_follow(head, portrait, speech, backend, size, written) -> None:
    video = head(portrait, speech, size=size, fps=10, seconds=0.2)
    frame = video.frame(0.1)
    assert frame.shape == (written[1], written[0], 3) and video.size_px == written
    found = backend.find(frame)[0].landmarks
    track = video.landmarks_in_view(1, 2)
    assert track.image_size_px == written
    assert np.linalg.norm((track.values[0] - found)[:, :2], axis=1).mean() < 0.03 * max(written)


@pytest.mark.slow
def test_smaller_videos_are_rendered_smaller(head, portrait, speech) -> None:
    video = head(portrait, speech, size=128)
    assert video.landmarks(0, 1).image_size_px == (128, 128)


@pytest.mark.slow
def test_a_colour_takes_the_place_of_the_background(head, portrait, speech) -> None:
    video = head(portrait, speech, background="#20c040", fps=10, seconds=0.3)
    for frame in video:
        assert np.abs(frame[:30, 220:].astype(int) - [0x20, 0xC0, 0x40]).max() <= 2
    assert np.array_equal(video.frame(0.2), video.to_numpy()[2])
    still = head(portrait, speech, fps=10, seconds=0.3).frame(0.2)
    face = video.landmarks(2, 3).values[0, :, :2].mean(axis=0).astype(int)
    assert np.array_equal(video.frame(0.2)[face[1], face[0]], still[face[1], face[0]])
    assert video.mark.models["matte"] and video.mark.settings["background"] == "#20c040"


@pytest.mark.slow
def test_a_picture_takes_the_place_of_the_background(head, portrait, speech, tmp_path) -> None:
    wide = np.zeros((50, 300, 3), np.uint8)
    wide[..., 2] = 200
    write_image(tmp_path / "beach.png", wide, mark=MARK)
    video = head(portrait, speech, background=str(tmp_path / "beach.png"), crop="1:1", fps=10, seconds=0.1)
    assert np.abs(video.frame(0)[:30, 220:].astype(int) - [0, 0, 200]).max() <= 2
    assert video.mark.inputs["background"] == provenance.hash_file(tmp_path / "beach.png")


@pytest.mark.slow
def test_no_background_is_transparent_and_moves_with_the_head(head, portrait, speech, tmp_path) -> None:
    video = head(portrait, speech, background="none", fps=10, head=3.0)
    whole = video.to_numpy()
    assert whole.shape == (10, 257, 257, 4)
    assert whole[:, :30, 220:, 3].max() <= 2 and whole[:, 120:140, 118:138, 3].min() == 255
    assert np.abs(whole[0, ..., 3].astype(int) - whole[-1, ..., 3]).max() > 50
    with pytest.raises(UsageError, match="webm"):
        video.save(tmp_path / "a.mp4")
    video.save(tmp_path / "frames")
    written = np.array(Image.open(tmp_path / "frames" / "00003.png"))
    assert np.array_equal(written, list(embed(whole, video.mark.run_id))[2])
    assert provenance.verify(tmp_path / "frames").verdict is provenance.Verdict.INTACT


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "a.gif", "frames"])
def test_every_kind_is_saved_marked_and_whole(video, tmp_path, name) -> None:
    done: list[int] = []
    video.save(tmp_path / name, on_frame=done.append)
    assert done == list(range(1, 11))
    report = provenance.verify(tmp_path / name)
    assert report.verdict is provenance.Verdict.INTACT
    assert report.sidecar.mark == video.mark

    def cancel(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        video.save(tmp_path / f"again-{name}", on_frame=cancel)
    assert sorted(tmp_path.iterdir()) == before


def test_a_notebook_shows_a_marked_player_and_curves(video, tmp_path) -> None:
    page = video._repr_html_()
    found = re.search(r'src="data:video/mp4;base64,([^"]+)"', page)
    assert found and "<svg" in page and "AI-generated" in page and "polyline" in page
    (tmp_path / "shown.mp4").write_bytes(base64.b64decode(found[1]))
    assert probe(tmp_path / "shown.mp4").frames == 10
    assert provenance.verify(tmp_path / "shown.mp4").metadata == provenance.Mark(models=video.mark.models)
    assert video._repr_html_() is page  # not rendered anew


@pytest.mark.slow
def test_outputs_name_the_backend_that_read_the_portrait(portrait, speech) -> None:
    class Unversioned:
        name = "other"

        def find(self, picture):
            return backend.find(picture)

        def follow(self, picture, last):
            return backend.follow(picture, last)

    backend = AuteurBackend()
    video = TalkingHead.from_pretrained("warp", backend=Unversioned())(portrait, speech, fps=5)
    assert video.models["face backend other"] == "unknown"
    assert not {"detector", "landmarker"} & video.models.keys()
    own = TalkingHead.from_pretrained("warp")(portrait, speech, fps=5)
    assert {"detector", "landmarker"} <= own.models.keys()


@pytest.mark.slow
def test_inputs_from_memory_and_from_files_give_the_same_frames(head, portrait, speech, tmp_path) -> None:
    write_image(tmp_path / "me.png", portrait, mark=MARK)
    write_audio(tmp_path / "talk.wav", speech, mark=MARK)
    rounded = Waveform(samples=np.rint(speech.samples * 32768) / 32768, rate_hz=16_000)
    first = head(tmp_path / "me.png", tmp_path / "talk.wav", seed=2, fps=5)
    second = head(
        Image.fromarray(portrait), (16_000, np.rint(speech.samples * 32768).astype(np.int16)), seed=2, fps=5
    )
    third = head((tmp_path / "me.png").read_bytes(), rounded, seed=2, fps=5)
    for other in (second, third):
        assert np.abs(first.to_numpy().astype(int) - other.to_numpy()).mean() < 0.05
    assert first.mark.inputs["portrait"] == third.mark.inputs["portrait"] != second.mark.inputs["portrait"]
    assert Path(tmp_path / "me.png").is_file()
