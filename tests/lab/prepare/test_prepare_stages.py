"""Stages one by one, on footage made here and numbers that are known."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from auteur.errors import InputError, UsageError
from auteur.face.backend import FaceReading
from auteur.face.crops import apply
from auteur.face.pose import canonical_face
from auteur.lab.corpora import Recording
from auteur.lab.data.archive import flac, from_flac, from_npy, npy
from auteur.lab.data.encoded_video import decode_video, encode_video
from auteur.lab.prepare.clips import Clip, watch
from auteur.lab.prepare.crops import squares
from auteur.lab.prepare.filters import REASONS, judge_picture, judge_sound
from auteur.lab.prepare.frames import pictures_of
from auteur.lab.prepare.lips import LipAgreement, lip_agreement
from auteur.lab.prepare.options import PrepareOptions, difference, identity
from auteur.lab.prepare.sound import ClipSound, prosody_of
from auteur.lab.prepare.stage_timer import StageTimer
from auteur.media import VideoWriter
from auteur.provenance import Mark
from auteur.signals import Waveform
from auteur.speech.features import SpeechAnalysis

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

OPTIONS = PrepareOptions(kind="folder")


@pytest.fixture(scope="module")
def counting(tmp_path_factory) -> Path:
    """60 frames at 30 per second; frame k has the brightness 4 k."""
    path = tmp_path_factory.mktemp("count") / "count.mp4"
    with VideoWriter(path, size_px=(64, 48), rate=30, mark=Mark(watermark=False), quality_crf=4) as video:
        for number in range(60):
            video.write(np.full((48, 64, 3), 4 * number, np.uint8))
    return path


def recording(video: Path, **given) -> Recording:
    return Recording(key="one", person="somebody", video=video, **given)


def numbers(pictures) -> list[int]:
    return [round(float(picture.mean()) / 4) for picture in pictures]


def test_pictures_are_taken_by_time(counting):
    assert numbers(pictures_of(recording(counting)))[:11] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12]


def test_a_stretch_of_a_recording(counting):
    stretch = recording(counting, start_seconds=0.4, stop_seconds=0.8)
    assert numbers(pictures_of(stretch)) == [12, 13, 14, 15, 16, 18, 19, 20, 21, 22]
    late = recording(counting, start_seconds=1.6, stop_seconds=1.72)
    assert numbers(pictures_of(late)) == numbers(pictures_of(recording(counting)))[40:43]


def test_a_box_cuts_the_picture(tmp_path):
    ramp = np.broadcast_to(np.arange(64)[None, :, None] * 2 + np.arange(48)[:, None, None], (48, 64, 3))
    with VideoWriter(
        tmp_path / "ramp.mp4", size_px=(64, 48), rate=25, mark=Mark(watermark=False), quality_crf=4
    ) as video:
        video.write(ramp.astype(np.uint8))
    whole = next(pictures_of(recording(tmp_path / "ramp.mp4")))
    boxed = next(pictures_of(recording(tmp_path / "ramp.mp4", box=(10.2, 5, 30, 600))))
    np.testing.assert_array_equal(boxed, whole[5:, 10:30])


def test_a_box_beside_the_picture_is_refused(counting):
    with pytest.raises(InputError, match="64x48 pixels"):
        next(pictures_of(recording(counting, box=(500, 500, 600, 600))))


def test_a_stretch_behind_the_end_is_refused(counting):
    with pytest.raises(InputError, match="no picture from 9 s on"):
        list(pictures_of(recording(counting, start_seconds=9)))


class Faces:
    """Finds one face, or none, by the brightness of the picture; and a second one on request."""

    name = "test"

    def __init__(self, *, missing: set[int] = frozenset(), rivals: set[int] = frozenset()) -> None:
        self._missing, self._rivals = missing, rivals

    def find(self, picture):
        [number] = numbers([picture])
        if number in self._missing:
            return []
        return [face_at(60.0), *([face_at(200.0)] if number in self._rivals else [])]

    def follow(self, picture, last):
        del last
        return next(iter(self.find(picture)), None)


def face_at(x: float, size: float = 100.0) -> FaceReading:
    mesh = np.concatenate([canonical_face(), np.zeros((10, 3))])
    scale = size / np.ptp(canonical_face()[:, 1])
    return FaceReading((mesh * scale + [x, 60.0, 0]).astype(np.float32), np.zeros(52, np.float32), 1.0)


def watched(video: Path, backend, longest_sec: float = 20.0):
    return watch(recording(video), backend, StageTimer(), longest_sec=longest_sec)


def test_one_stretch_keeps_the_key(counting):
    [clip] = watched(counting, Faces()).clips
    assert (clip.key, clip.first, clip.frames, clip.seen) == ("one", 0, 50, 1.0)
    assert clip.start_sec == 0
    assert clip.face_px == pytest.approx(100, abs=1)


def test_a_short_hole_is_bridged_and_a_long_one_parts(counting):
    [bridged] = watched(counting, Faces(missing={20, 21, 22})).clips
    assert bridged.frames == 50
    assert bridged.seen < 1
    first, second = watched(counting, Faces(missing=set(range(20, 40)))).clips
    assert (first.key, second.key) == ("one--001", "one--002")
    assert first.frames + second.frames < 50
    assert second.start_sec == Fraction(second.first, 25)


def test_long_stretches_are_divided_evenly(counting):
    assert [clip.frames for clip in watched(counting, Faces(), longest_sec=0.8).clips] == [16, 17, 17]


def test_no_face_has_a_reason(counting):
    nothing = watched(counting, Faces(missing=set(range(100))))
    assert nothing.clips == []
    assert "no face found in 'count.mp4'" in nothing.problem


def test_company_is_noticed(counting):
    [alone] = watched(counting, Faces()).clips
    [together] = watched(counting, Faces(rivals=set(range(100)))).clips
    assert (alone.company, together.company) == (0.0, 1.0)
    assert judge_picture(alone, OPTIONS) is None
    objection = judge_picture(together, OPTIONS)
    assert objection is not None
    assert objection.reason == "several_people"


def test_a_clock_counts_nothing_twice(monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr("auteur.lab.prepare.stage_timer.time.perf_counter", lambda: next(times))
    timer = StageTimer()
    with timer.stage("outer"):
        list(timer.each("inner", [1, 2]))
    assert sum(timer.seconds.values()) == 7
    assert timer.seconds["inner"] == 3


# Sound and lips


def speaking(frames: int, seed: int = 0) -> np.ndarray:
    """A lip gap in mm that moves as in speech."""
    random = np.random.default_rng(seed).normal(size=frames + 8)
    smooth = np.convolve(random, np.hanning(6), mode="same")[4:-4]
    return 3 + 2 * smooth / smooth.std()


def talking(gap_mm: np.ndarray, **changes) -> Clip:
    faces = np.repeat(face_at(100.0).landmarks[None].astype(np.float64), len(gap_mm), axis=0)
    pixels = 100.0 / np.ptp(canonical_face()[:, 1])
    faces[:, 14, 1] = faces[:, 13, 1] + gap_mm * pixels
    given = {
        "recording": recording(Path("clip.mp4")), "key": "one", "first": 0, "landmarks": faces,
        "blendshapes": np.zeros((len(gap_mm), 52)), "seen": 1.0, "company": 0.0,
    }  # fmt: skip
    return Clip(**given | changes)


def analysis_of(gap: np.ndarray) -> SpeechAnalysis:
    features = torch.zeros(len(gap), 80)
    features[:, -2] = torch.from_numpy(gap)
    return SpeechAnalysis(
        features=features, phones=features, articulation=features, loudness=features[:, -1], bands=features
    )


@pytest.mark.parametrize("offset", [-9, -3, 0, 4, 12])
def test_the_offset_is_found(offset):
    gap = speaking(250)
    found = lip_agreement(talking(np.roll(gap, offset)).landmarks, analysis_of(gap))
    assert found is not None
    assert found.offset_frames == offset
    assert found.is_believed


def test_other_lips_do_not_agree():
    found = lip_agreement(talking(speaking(500, seed=1)).landmarks, analysis_of(speaking(500, seed=2)))
    assert found is not None
    assert not found.is_believed


def test_too_little_to_judge():
    assert lip_agreement(talking(speaking(40)).landmarks, analysis_of(speaking(40))) is None
    assert lip_agreement(talking(np.full(200, 3.0)).landmarks, analysis_of(speaking(200))) is None


def sound(clip: Clip, agreement: LipAgreement | None = None, level: float = -20.0) -> ClipSound:
    prosody = np.full((clip.frames, 3), level, np.float32)
    waveform = Waveform(samples=np.zeros(clip.frames * 640, np.float32), rate_hz=16_000)
    analysis = analysis_of(speaking(clip.frames))
    return ClipSound(waveform=waveform, analysis=analysis, prosody=prosody, agreement=agreement)


def reason(objection) -> str | None:
    return None if objection is None else objection.reason


def test_every_filter_of_pictures():
    gap = speaking(100)
    assert reason(judge_picture(talking(gap), OPTIONS)) is None
    assert reason(judge_picture(talking(gap[:20]), OPTIONS)) == "too_short"
    assert reason(judge_picture(talking(gap, company=0.5), OPTIONS)) == "several_people"
    small = talking(gap, landmarks=talking(gap).landmarks * 0.5)
    assert reason(judge_picture(small, OPTIONS)) == "too_small"


def test_every_filter_of_sound():
    clip = talking(speaking(250))
    assert reason(judge_sound(clip, sound(clip), OPTIONS)) is None
    assert reason(judge_sound(clip, None, OPTIONS)) == "no_sound"
    assert reason(judge_sound(clip, sound(clip, level=-90), OPTIONS)) == "silent"
    late = sound(clip, LipAgreement(8, 0.6, 250))
    assert reason(judge_sound(clip, late, OPTIONS)) == "out_of_sync"
    assert "+320 ms" in judge_sound(clip, late, OPTIONS).detail
    assert reason(judge_sound(clip, sound(clip, LipAgreement(8, 0.35, 250)), OPTIONS)) is None
    assert reason(judge_sound(clip, sound(clip, LipAgreement(8, 0.05, 250)), OPTIONS)) == "other_voice"


def test_silent_clips_can_be_kept():
    clip = talking(speaking(250))
    keeping = PrepareOptions(kind="folder", keep_silent=True)
    assert judge_sound(clip, None, keeping) is None
    assert judge_sound(clip, sound(clip, level=-90), keeping) is None


def test_every_rejection_has_a_name():
    from auteur.lab.prepare import filters

    rules = [*filters.PICTURE_FILTERS, *filters.SOUND_FILTERS]
    assert {rule.__name__ for rule in rules} | {"no_face", "no_sound", filters.FAILED} == REASONS.keys()


def test_prosody_has_a_row_per_frame():
    tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    columns = prosody_of(Waveform(samples=tone, rate_hz=16_000), 25)
    assert columns.shape == (25, 3)
    assert columns[5:20, 0] == pytest.approx(-3, abs=0.3)
    assert columns[5:20, 1] == pytest.approx(200, abs=2)


# Crops and members


def test_a_clip_has_one_upright_square_that_holds_the_face():
    near, far = face_at(80.0).landmarks, face_at(160.0).landmarks
    frames = squares(np.stack([near, far]).astype(np.float64), OPTIONS)
    assert frames[0] is frames[1]
    assert frames[0].roll_rad == 0
    for points in (near, far):
        inside = apply(frames[0].matrix(256), points[:468])[:, :2]
        assert inside.min() >= 0
        assert inside.max() <= 255


def test_squares_that_follow_the_face():
    moving = np.stack([face_at(80.0 + 2 * k).landmarks for k in range(20)]).astype(np.float64)
    frames = squares(moving, PrepareOptions(kind="folder", align="frame"))
    centers = np.array([frame.center_px[0] for frame in frames])
    assert np.diff(centers) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("size", [96, 112, 160])
def test_a_video_is_the_same_every_time_and_close_to_its_pictures(astronaut, size):
    random = np.random.default_rng(0)
    turned = np.round(20 * np.sin(np.arange(25) / 3)).astype(int)
    pictures = [np.ascontiguousarray(astronaut[20 : 20 + size, 150 + x : 150 + x + size]) for x in turned]
    made = set()
    for _ in range(6):
        junk = [random.integers(0, 255, int(random.integers(1000, 600_000)), np.uint8) for _ in range(4)]
        made.add(encode_video(pictures, rate=Fraction(25), crf=12))
        del junk  # what the encoder finds in memory that it has not written is another each time
    assert len(made) == 1
    back = decode_video(made.pop())
    assert back.shape == (25, size, size, 3)
    assert np.abs(back.astype(int) - np.stack(pictures)).mean() < 12


def test_members_come_back():
    values = np.random.default_rng(0).normal(size=(4, 3))
    assert from_npy(npy(values)) == pytest.approx(values)
    assert from_npy(npy(values)).dtype == np.float32
    speech = Waveform(samples=np.linspace(-0.5, 0.5, 640, dtype=np.float32), rate_hz=16_000)
    assert from_flac(flac(speech)).samples == pytest.approx(speech.samples, abs=1e-4)


# Options


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"size_px": 10}, "size_px is 10"),
        ({"size_px": 255}, "even"),
        ({"limit": 0}, "limit is 0"),
        ({"crf": 60}, "crf is 60"),
        ({"least_seconds": 30, "longest_seconds": 20}, "least_seconds is 30"),
        ({"shard_mb": 0}, "shard_mb is 0"),
    ],
)
def test_options_outside_their_range_are_refused(given, named):
    with pytest.raises(UsageError, match=named):
        PrepareOptions(kind="mead", **given).check()


def test_a_difference_is_named():
    then, now = (identity(PrepareOptions(kind="mead", size_px=size)) for size in (128, 256))
    assert difference(then, then) is None
    assert difference(then, now) == "size_px was 128 and is 256"
    now["models"]["landmarker"] = "other"
    assert "landmarker was" in (difference(then, now) or "")
