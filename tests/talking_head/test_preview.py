"""Single moments at interactive speed: what is kept, drafts against the whole, long speech in parts."""

from fractions import Fraction

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.expression.unit_curves import head_curves_track, unit_curves_track
from auteur.media import write_audio, write_image
from auteur.provenance import Mark
from auteur.signals import Waveform
from auteur.talking_head.preview import CLIP_SEC, Kept, Previewer
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings
from auteur.talking_head.talking_head import TalkingHead

STILL = Settings(head=1.0, blinks=False, gaze=False, seed=3)
MOUTH_CORNERS, RIGHT_LIDS = [61, 291], [159, 145]


def test_what_is_kept_is_the_newest():
    made = []
    kept = Kept(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.get(key, lambda key=key: made.append(key) or key)
    assert made == ["a", "b", "c", "b"] and "c" not in kept and "a" in kept


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def previewer() -> Previewer:
    return Previewer.from_pretrained("warp")


@pytest.fixture(scope="module")
def place(tmp_path_factory, astronaut):
    place = tmp_path_factory.mktemp("preview")
    write_image(place / "me.png", np.ascontiguousarray(astronaut[0:257, 96:353]), mark=Mark(watermark=False))
    for name, seconds in (("talk", 1), ("long", CLIP_SEC + 10)):
        times = np.arange(16000 * seconds) / 16000
        voice = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 12))
        samples = 0.05 * (1 - np.cos(8 * np.pi * times)) * voice
        write_audio(
            place / f"{name}.wav",
            Waveform(samples=samples.astype(np.float32), rate_hz=16000),
            mark=Mark(watermark=False),
        )
    return place


def request(**curves) -> PerformanceRequest:
    return PerformanceRequest(track=unit_curves_track(curves, rate=Fraction(25), duration_sec=1))


def test_a_full_moment_is_the_frame_of_the_video(previewer, place):
    requested = request(AU12=((0, 0.0), (0.8, 0.9)))
    moment = previewer(place / "me.png", place / "talk.wav", requested, STILL, 0.6, quality="full")
    video = TalkingHead.from_pretrained("warp").perform(
        place / "me.png", place / "talk.wav", requested, STILL
    )
    assert moment.frame == 15 and not moment.is_draft
    assert moment.picture is not None and np.array_equal(moment.picture, video.frame(0.6))
    points = previewer(place / "me.png", place / "talk.wav", requested, STILL, 0.6, quality="landmarks")
    assert not points.is_draft
    assert np.allclose(points.landmarks, video.landmarks(15, 16).values[0, :, :2], atol=1e-3)


def test_a_draft_follows_what_is_drawn(previewer, place):
    def look(value: float, **more):
        requested = PerformanceRequest(
            track=unit_curves_track({"AU12": ((0, value),), **more}, rate=Fraction(25), duration_sec=1),
            head_track=head_curves_track({"yaw": ((0, 0.0), (0.5, 10 * value))}, rate=Fraction(25)),
        )
        return previewer(place / "me.png", place / "talk.wav", requested, STILL, 0.5, quality="landmarks")

    calm, smiling, shut = look(0.0), look(0.8), look(0.0, AU45=((0, 1.0),))
    assert calm.is_draft and smiling.is_draft and calm.size_px == (257, 257)
    width = np.diff(calm.landmarks[MOUTH_CORNERS, 0]), np.diff(smiling.landmarks[MOUTH_CORNERS, 0])
    assert width[1] > width[0] + 2
    lids = [np.diff(one.landmarks[RIGHT_LIDS, 1])[0] for one in (calm, shut)]
    assert lids[1] < 0.5 * lids[0]
    nose = smiling.landmarks[1, 0] - smiling.landmarks[[234, 454], 0].mean()
    assert nose > calm.landmarks[1, 0] - calm.landmarks[[234, 454], 0].mean() + 1


def test_long_speech_is_looked_at_around_the_moment(previewer, place):
    def lids(shut_at: float, look_at: float, quality: str) -> float:
        keys = ((shut_at - 0.5, 0.0), (shut_at, 1.0), (shut_at + 0.5, 0.0))
        moment = previewer(
            place / "me.png", place / "long.wav", request(AU45=keys), STILL, look_at, quality=quality
        )
        return float(np.diff(moment.landmarks[RIGHT_LIDS, 1])[0])

    for quality in ("landmarks", "full"):
        assert lids(35.0, 35.0, quality) < 0.5 * lids(35.0, 37.0, quality)
        assert lids(2.0, 35.0, quality) > 2 * lids(35.0, 35.0, quality)
    sad, calm = (
        previewer(place / "me.png", place / "long.wav", one, STILL, 35.0, quality="landmarks").landmarks
        for one in (PerformanceRequest("sad"), PerformanceRequest("neutral"))
    )
    assert not np.allclose(sad, calm, atol=0.5)  # head and eyes of an emotion reach later parts


def test_what_is_outside_is_refused(previewer, place):
    for time_sec, quality, cause in (
        (-1, "small", "no frame at"),
        (1.5, "small", "1 s"),
        (0, "big", "quality"),
    ):
        with pytest.raises(UsageError, match=cause):
            previewer(place / "me.png", place / "talk.wav", request(), STILL, time_sec, quality=quality)
