"""Portrait and speech to video: the shipped weights on a small portrait and a second of made-up speech."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from skimage import data

import auteur
from auteur import provenance
from auteur.errors import FaceError, UsageError
from auteur.expression.curve import parse_curve
from auteur.face.action_units import action_units, neutral_of
from auteur.face.backend import FaceReading
from auteur.face.pose import canonical_face, rotation_of
from auteur.facs import convert
from auteur.formats import read_au_track
from auteur.media import (
    Soundtrack,
    SpeechFile,
    probe,
    read_audio,
    read_image,
    read_speech,
    write_audio,
    write_image,
)
from auteur.motion.mouth import lip_gap
from auteur.motion.performance import Origin, Performance
from auteur.painting import warp_renderer
from auteur.signals import AUTrack, Waveform
from auteur.talking_head.portrait_picture import fitted
from auteur.talking_head.routes import ROUTES, Route, expressed_units, performance_of_route
from auteur.talking_head.talking_head import Settings, TalkingHead

pytestmark = pytest.mark.slow

MARK = provenance.Mark(watermark=False)
STILL = Settings(head=0.0, blinks=False, gaze=False)


def buzz(seconds: float, *, silent: bool = False) -> Waveform:
    """Syllables of a buzzing voice, four a second, or a faint hiss."""
    times = np.arange(round(16000 * seconds)) / 16000
    voice = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20))
    loudness = 0.5 * (1 - np.cos(2 * np.pi * 4 * times))
    hiss = np.random.default_rng(0).normal(0, 1e-4, len(times))
    return Waveform(
        samples=(hiss if silent else 0.1 * loudness * voice + hiss).astype(np.float32), rate_hz=16000
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("talk")
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=MARK)
    write_audio(place / "talk.wav", buzz(1.02), mark=MARK)
    write_audio(place / "quiet.wav", buzz(0.6, silent=True), mark=MARK)
    return place


@pytest.fixture(scope="module")
def head() -> TalkingHead:
    return TalkingHead.from_pretrained("warp")


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(12)])
def test_frames_are_duration_times_rate(head, folder, fps):
    video = head(folder / "me.png", folder / "talk.wav", settings=Settings(fps=fps))
    assert video.frame_count == round(Fraction(102, 100) * fps)
    assert video.landmarks().frames == video.frame_count


def test_same_seed_same_frames_however_many_at_once(head, folder, monkeypatch):
    first = list(head(folder / "me.png", folder / "talk.wav", emotion="happy").frames())
    monkeypatch.setattr(warp_renderer, "FRAMES_AT_ONCE", 7)
    again = list(head(folder / "me.png", folder / "talk.wav", emotion="happy").frames())
    other = head(folder / "me.png", folder / "talk.wav", emotion="happy", settings=Settings(seed=1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other.frames(), strict=True))


@pytest.mark.parametrize(("control", "channel"), [("AU2", "AU02_r"), ("AU26", "AU26_r"), ("AU45", "AU45_r")])
def test_a_requested_unit_changes_the_frames(head, folder, backend, control, channel):
    def measured(**request):
        video = head(folder / "me.png", folder / "quiet.wav", settings=STILL, **request)
        reading = backend.find(video.frame(7 / 25))[0]
        return reading.landmarks[None], reading.blendshapes[None]

    rest = measured()
    track = action_units(*measured(au={control: 1.0}), rate=Fraction(25), neutral=neutral_of(*rest))
    assert convert(track, "openface17").channel(channel)[0] > 1.0


def test_more_au_guidance_shows_more_and_leaves_the_request_unchanged(head, folder):
    brows = []
    for scale in (0, 1, 2, 3.5, 5):
        settings = replace(STILL, au_guidance=scale)
        video = head(folder / "me.png", folder / "quiet.wav", au={"AU2": 0.25}, settings=settings)
        assert video.au_track.channel("AU2L") == pytest.approx(0.25)
        brows.append(-video.landmarks().values[-1, [70, 300], 1].mean())  # their outer ends rise
    assert np.all(np.diff(brows) > 0.1)  # px of a face of 105


def test_in_silence_the_face_is_still_without_idle_motion(head, folder):
    frames = head(folder / "me.png", folder / "quiet.wav", settings=STILL).landmarks().values
    assert np.abs(frames - frames[:1]).max() < 1.0  # px of a face of 105


def test_hiss_keeps_the_lips_shut_and_quiet_speech_moves_them(head, folder, tmp_path):
    hiss = np.random.default_rng(0).normal(0, 1e-3, 16_000).astype(np.float32)  # -60 dB of full scale
    talk = read_speech(Path(__file__).parents[2] / "examples" / "speech.flac").slice(0, 2).samples
    quiet = talk * np.float32(10 ** (-35 / 20) / talk.std())
    for name, samples in (("hiss", hiss), ("faint", quiet)):
        write_audio(tmp_path / f"{name}.wav", Waveform(samples=samples, rate_hz=16000), mark=MARK)
    gaps = {
        name: lip_gap(head(folder / "me.png", tmp_path / f"{name}.wav", settings=STILL).landmarks().values)
        for name in ("hiss", "faint")
    }
    assert np.abs(np.diff(gaps["hiss"])).max() < 0.02 < 1 < np.ptp(gaps["faint"])  # px of a face of 105
    notes = head(folder / "me.png", tmp_path / "hiss.wav").notes
    assert notes == ("no speech was found in the recording: the lips stay closed",)


def test_noise_keeps_the_lips_shut_and_adds_a_note(head, folder, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    write_audio(tmp_path / "noise.wav", Waveform(samples=noise, rate_hz=16000), mark=MARK)
    video = head(folder / "me.png", tmp_path / "noise.wav", settings=STILL)
    assert np.ptp(lip_gap(video.landmarks().values)) < 0.02
    assert video.notes == ("no speech was found in the recording: the lips stay closed",)


def test_the_video_has_the_recording_s_channels_and_level(head, folder, tmp_path):
    left = buzz(1.02).resample(44_100).samples
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, -0.2 * left], axis=1), 44_100)
    head(folder / "me.png", tmp_path / "stereo.wav").save(tmp_path / "out.mp4")
    samples, rate_hz = read_audio(tmp_path / "out.mp4")
    assert (rate_hz, samples.shape[1]) == (44_100, 2)
    np.testing.assert_allclose(samples.std(axis=0), [left.std(), 0.2 * left.std()], rtol=0.05)


def test_a_frame_of_a_video_is_a_portrait(head, folder, film, tmp_path):
    video = film(20, empty=tuple(range(8)))
    talk = head(video, folder / "talk.wav", settings=STILL)
    assert talk.notes[0] == "the portrait is the video's frame at 0.40 s"
    assert talk.size_px == (192, 192)


def test_sound_is_not_held_while_frames_are_made(head, folder, tmp_path, monkeypatch):
    """However long the recording, a second of it is in memory at a time."""
    sizes: list[int] = []
    pieces = SpeechFile.pieces

    def counted(self, step, **around):
        for begin, samples in pieces(self, step, **around):
            sizes.append(len(samples))
            yield begin, samples

    monkeypatch.setattr(SpeechFile, "pieces", counted)

    def counted_blocks(self):
        for block in blocks(self):
            sizes.append(len(block))
            yield block

    blocks = Soundtrack.blocks
    monkeypatch.setattr(Soundtrack, "blocks", counted_blocks)
    monkeypatch.setattr(SpeechFile, "samples", None)  # all of it is never read
    sound = buzz(1.02).resample(48_000)
    write_audio(
        tmp_path / "hifi.wav", Waveform(samples=np.tile(sound.samples, 42), rate_hz=48_000), mark=MARK
    )
    video = head(folder / "me.png", tmp_path / "hifi.wav", emotion="happy")
    assert max(sizes) < 40 * 16_000
    sizes.clear()

    def stop(done: int) -> None:
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.save(tmp_path / "out.mp4", on_frame=stop)
    assert 48_000 * 2.4 <= sum(sizes) <= 48_000 * 4 and max(sizes) <= 65_536


def test_the_saved_video_is_whole_marked_and_as_long_as_the_speech(head, folder, tmp_path):
    video = head(folder / "me.png", folder / "talk.wav")
    done: list[int] = []
    video.save(tmp_path / "out.mp4", on_frame=done.append)
    info = probe(tmp_path / "out.mp4")
    assert done[-1] == video.frame_count == 26
    assert info.audio_rate_hz and info.frame_rate == 25
    assert (info.width_px, info.height_px) == (258, 258)  # 257 made even
    report = provenance.verify(tmp_path / "out.mp4")
    assert report.verdict == provenance.Verdict.INTACT


def test_cancelling_leaves_nothing(head, folder, tmp_path):
    def cancel(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        head(folder / "me.png", folder / "talk.wav").save(tmp_path / "out.mp4", on_frame=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_large_portrait_is_reduced_to_1920():
    half = np.zeros((3000, 2000, 3), np.uint8)
    half[:1500, :, 1] = 200
    smaller = fitted(half)
    assert smaller.shape == (1920, 1280, 3)
    assert (smaller[:959] == [0, 200, 0]).all() and not smaller[961:].any()
    small = half[1400:1700, :200]
    assert fitted(small) is small


def test_bad_input_is_refused(head, folder, tmp_path):
    write_image(tmp_path / "bricks.png", np.repeat(data.brick()[:200, :200, None], 3, 2), mark=MARK)
    with pytest.raises(FaceError, match="no face found"):
        head(tmp_path / "bricks.png", folder / "talk.wav")
    with pytest.raises(UsageError, match="between 1 and 120"):
        Settings(fps=Fraction(0))
    with pytest.raises(UsageError, match="compact"):
        TalkingHead.from_pretrained("enormous")


def test_the_first_page_of_the_design_works_from_the_package_itself(folder, tmp_path):
    pytest.importorskip("matplotlib")
    head = auteur.TalkingHead.from_pretrained("compact")
    video = head(folder / "me.png", folder / "talk.wav", emotion="happy", intensity=0.8, au={"AU1": 0.5})
    video.au_track.save(tmp_path / "performance.csv")
    video.plot(tmp_path / "performance.png")
    assert read_au_track(tmp_path / "performance.csv").channel("AU1L")[0] == 0.5
    assert provenance.verify(tmp_path / "performance.png").verdict == provenance.Verdict.INTACT
    with pytest.raises(AttributeError, match="TalkingHeads"):
        _ = auteur.TalkingHeads


def test_the_rendered_performance_is_the_requested_one_where_speech_leaves_it_alone(head, folder):
    request = {"AU2": 0.6, "AU4": 0.0, "AU45": 0.5, "AU61": 0.4}
    video = head(folder / "me.png", folder / "quiet.wav", au=request, settings=STILL)
    done = video.performed()
    for name, value in request.items():
        assert np.abs(done.channel(f"{name}L") - value).max() < 0.25, name
    assert done.frames == 15 and done.rate == 25
    requested, rendered = video.requested, video.rendered
    assert type(rendered) is type(requested) and rendered.frames == requested.frames == 15
    np.testing.assert_allclose(rendered.action_units.values, done.values, atol=1e-6)
    assert rendered.head is not None and rendered.origin("AU2L") is Origin.REQUESTED


def test_a_sheet_shows_frames_and_mouths(head, folder, tmp_path):
    head(folder / "me.png", folder / "talk.wav").save_sheet(tmp_path / "sheet.png")
    height, width = read_image(tmp_path / "sheet.png").shape[:2]
    assert width == 6 * (257 + 6) and height > 2 * (257 + 6)


def test_the_smile_of_a_portrait_gives_way_to_the_request(head, folder):
    """The portrait smiles with parted lips; all is measured in its own pixels, the face being 105 large."""

    def shape(**request):
        video = head(folder / "me.png", folder / "quiet.wav", settings=STILL, **request)
        face = video.landmarks().values[-1]
        return lip_gap(face), face[[61, 291], 1].mean() - face[0, 1], np.ptp(face[[61, 291], 0])

    gap, drop, width = shape()
    assert abs(gap) < 0.6  # at rest the lips meet
    for request in ({"emotion": "sad"}, {"emotion": "neutral"}, {"au": {"AU15": 1.0}}):
        other_gap, other_drop, other_width = shape(**request)
        assert abs(other_gap) < 0.6
        assert other_drop > drop + 0.5 and other_width < width - 0.5
    assert shape(emotion="happy")[2] < 1.35 * width  # a smile request for replaces the smile


def test_a_route_makes_the_action_units_of_the_speech(folder, monkeypatch):
    monkeypatch.setitem(ROUTES, "loud", Route("smiles when it is loud", f"{__name__}:loud_smile"))
    head = TalkingHead.from_pretrained()
    settings = Settings(route="loud")
    video = head(folder / "me.png", folder / "talk.wav", emotion="happy", settings=settings)
    assert video.au_track.channel("AU12L").max() > 0.9 and not video.au_track.channel("AU6L").any()
    with pytest.raises(UsageError, match="auto, landmark"):
        Settings(route="nowhere")


def test_a_curve_edits_what_any_route_writes():
    sound = Waveform(samples=np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), rate_hz=16000)
    track = expressed_units(mood, sound, parse_curve("0s neutral, 1s happy:0.5+sad:0.25, 1.9s neutral"))
    np.testing.assert_allclose(track.channel("AU12L")[[0, 10, 19]], [0.1, 0.5, 0.1], atol=1e-6)
    np.testing.assert_allclose(track.channel("AU15L")[[0, 10, 19]], [0, 0.2, 0], atol=1e-6)
    most = expressed_units(mood, sound, parse_curve("0s happy:1.2"))
    np.testing.assert_allclose(most.channel("AU12L"), 1)


def mood(speech: Waveform, emotion: str | None, intensity: float) -> AUTrack:
    """A model that smiles a little, happily or not at all."""
    shown = {"neutral": (0.1, 0.0), "happy": (0.9, 0.0), "sad": (0.1, 0.8)}[str(emotion)]
    values = np.tile(np.array(shown) * intensity, (20, 1))
    return AUTrack(values=values, rate=Fraction(10), channels=("AU12L", "AU15L"), convention="facs")


def loud_smile():
    """Returns a route: the louder, the more of a smile."""

    def perform(speech, request) -> Performance:
        level = np.abs(speech.samples[: len(speech.samples) // 1600 * 1600]).reshape(-1, 1600).mean(1)
        values = np.repeat((request.emotions.strongest * level / level.max())[:, None], 2, axis=1)
        track = AUTrack(values=values, rate=Fraction(10), channels=("AU12L", "AU12R"), convention="facs")
        return performance_of_route(speech, track)

    return perform


def test_seeds_follow_from_what_the_inputs_hold(head, folder, tmp_path):
    first = head(folder / "me.png", folder / "talk.wav")
    (tmp_path / "copy.png").write_bytes((folder / "me.png").read_bytes())
    again = head(tmp_path / "copy.png", folder / "talk.wav")
    assert first.seed == again.seed
    np.testing.assert_array_equal(first.landmarks().values, again.landmarks().values)
    write_image(tmp_path / "other.png", np.ascontiguousarray(data.astronaut()[2:259, 96:353]), mark=MARK)
    other = head(tmp_path / "other.png", folder / "talk.wav")
    assert other.seed != first.seed
    assert head(folder / "me.png", folder / "quiet.wav").seed not in (first.seed, other.seed)
    assert not np.allclose(first.head_track.values, other.head_track.values, atol=1e-3)
    chosen = [head(folder / "me.png", folder / "talk.wav", seed=5) for _ in range(2)]
    assert [video.seed for video in chosen] == [5, 5]
    np.testing.assert_array_equal(chosen[0].landmarks().values, chosen[1].landmarks().values)


def test_a_track_needs_no_speech(head, folder):
    jaw = np.repeat([0.0, 0.8], 10)[:, None].astype(np.float32)
    track = AUTrack(values=jaw, rate=Fraction(25), channels=("AU26",), convention="facs")
    video = head(folder / "me.png", track=track, settings=STILL)
    gap = lip_gap(video.landmarks().values)
    assert video.frame_count == 20 and gap[12:].min() > gap[:8].max() + 1
    with pytest.raises(UsageError, match="there is no speech; give a recording, a track or a video"):
        head(folder / "me.png")


def test_an_actor_drives_the_portrait_through_gaps(head, folder, film):
    actor = film(24, empty=tuple(range(10, 14)))
    video = head(folder / "me.png", drive=actor)
    assert video.frame_count == round(Fraction(24 * 1001, 30000) * 25)
    assert any("4 of 24 frames of the track are not measured" in note for note in video.notes)
    assert video.mark.inputs.keys() == {"portrait", "speech", "drive"}
    assert np.isfinite(video.landmarks().values).all()
    calm = head(folder / "me.png", drive=actor, head_track="none")
    assert not np.allclose(video.head_track.values, calm.head_track.values, atol=1e-4)
    assert head(folder / "me.png", folder / "talk.wav", drive=actor).frame_count == 26


def test_a_profile_is_refused(head, folder):
    with pytest.raises(FaceError, match="turned away"):
        TalkingHead(Profile(), head._speech, head._mover)(folder / "me.png", folder / "quiet.wav")


class Profile:
    """A backend that finds a face turned by 75 degrees."""

    name = "profile"

    def find(self, picture):
        turned = rotation_of(np.array([0.0, np.radians(75), 0.0]))
        face = np.zeros((478, 3))
        face[:468] = canonical_face()
        landmarks = (face @ turned.T + 128).astype(np.float32)
        return [FaceReading(landmarks=landmarks, blendshapes=np.zeros(52, np.float32), confidence=1.0)]

    def follow(self, picture, last):
        return None
