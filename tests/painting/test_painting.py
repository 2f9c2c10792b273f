"""Painted video: a tiny denoiser with random weights on the warp of a small portrait."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from auteur import provenance
from auteur.errors import FaceError, UsageError, WeightsError
from auteur.face import crops
from auteur.media import write_audio, write_image
from auteur.painting import warp_renderer
from auteur.painting.conditioning import ConditionBuilder
from auteur.painting.inpaint_renderer import InpaintRenderer
from auteur.painting.inpainter import Inpainter
from auteur.painting.loading import DenoiserBundle, load_bundle
from auteur.painting.warp_renderer import WarpRenderer
from auteur.signals import AUTrack, Waveform
from auteur.signals.topology import OUTER_LIPS
from auteur.synthesis.canonical_crops import crop_frames
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import TemporalConfig, UNetConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS
from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser
from auteur.synthesis.pretrained.loading import BaseFolders, load_base
from auteur.synthesis.windows import WindowSettings
from auteur.talking_head import talking_head
from auteur.talking_head.talking_head import Settings, TalkingHead

pytestmark = pytest.mark.slow

MARK = provenance.Mark(watermark=False)
SIZE_PX = 64
UNET = UNetConfig(
    widths=(8, 16), attends=(False, True), layers=1, heads=2, groups=4, context_width=8, context_tokens=2
)


def tiny_config(name: str = "compact", *, patch: int = 4):
    """A preset's parts as small as they come, with the inputs of the real one."""
    config = DENOISER_PRESETS[name].config
    small = config.changed(
        patch=1 if config.patch == 1 else patch,
        unet=replace(UNET, context_width=config.unet.context_width and 8),
        temporal=TemporalConfig(levels=(False, True), heads=2, groups=4, longest_window=12),
        past=replace(config.past, head=4),
    )
    if config.views:
        small = small.changed(views=("mouth", "eyes"))
    if config.landmarks:
        landmarks = replace(config.landmarks, downscale=2, stem=(4, 8), attending_levels=1, head=4)
        small = small.changed(landmarks=landmarks)
    if config.au:
        small = small.changed(au=replace(config.au, width=8, grid=2, head=4))
    if config.audio:
        small = small.changed(audio=replace(config.audio, hidden=8, tokens=3, width=8, head=4))
    if config.identity:
        small = small.changed(identity=replace(config.identity, features=5))
    return small


def loud(config, seed: int = 0) -> VideoDenoiser:
    """A denoiser none of whose layers is zero, and whose motion modules act."""
    model = build_denoiser(config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if not parameter.any():
            parameter.data.normal_(0, 0.3, generator=generator)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("paint")
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=MARK)
    noise = np.random.default_rng(0).normal(0, 0.05, 14080).astype(np.float32)  # 22 frames
    write_audio(place / "talk.wav", Waveform(samples=noise, rate_hz=16000), mark=MARK)
    return place


@pytest.fixture(scope="module")
def plain() -> TalkingHead:
    torch.set_num_threads(1)
    return TalkingHead.from_pretrained("warp")


def painting_head(plain: TalkingHead, denoiser: VideoDenoiser) -> TalkingHead:
    bundle = DenoiserBundle(denoiser=denoiser, size_px=SIZE_PX, speech=plain._speech.phones)
    return TalkingHead(plain._backend, plain._speech, plain._mover, renderer=InpaintRenderer(bundle))


@pytest.fixture(scope="module")
def head(plain) -> TalkingHead:
    return painting_head(plain, loud(tiny_config()))


def film(head, folder, **settings):
    chosen = Settings(**{"steps": 2, **settings} if head._renderer.is_sequential else {})
    return head(folder / "me.png", folder / "talk.wav", au={"AU12": 0.7}, settings=chosen)


def builder_of(head, video, **given) -> ConditionBuilder:
    builder = ConditionBuilder(
        head._renderer.bundle,
        video._render_input.warper,
        video._portrait,
        video._face.landmarks,
        basis=head._mover.basis,
        **given,
    )
    builder.shading = video._render_input.shading
    return builder


def warped_frame(video, number: int) -> np.ndarray:
    return next(iter(WarpRenderer().frames(video._render_input, only=[number])))


def frames_of(head, folder, **settings):
    return np.stack(list(film(head, folder, **settings).frames()))


def test_same_seed_same_frames_in_any_order_of_access(head, folder, monkeypatch):
    first = frames_of(head, folder)
    monkeypatch.setattr(warp_renderer, "FRAMES_AT_ONCE", 5)
    monkeypatch.setattr(talking_head, "_READ_AT_ONCE", 3)
    again = film(head, folder)
    again.performed()
    again.landmarks(3, 9)
    lazily = iter(again.frames())
    assert np.array_equal(first[0], next(lazily))
    assert np.array_equal(first[1:], np.stack(list(lazily)))
    assert len(first) == 22


def test_another_seed_paints_the_same_motion_differently(head, folder):
    video = film(head, folder)
    builder = builder_of(head, video)
    settings = WindowSettings(frames=8, steps=1)
    first, again, other = (
        next(Inpainter(builder).frames(video.landmarks, count=4, seed=seed, settings=settings))
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_denoiser_that_predicts_the_warp_gives_the_warp(plain, folder, monkeypatch, steps):
    def warp_again(self, sample, timestep, conditions):
        return (sample - conditions.warped[:, :, :3]) / (timestep.double() / 1000).reshape(-1, 1, 1, 1, 1)

    head = painting_head(plain, loud(tiny_config()))
    monkeypatch.setattr(VideoDenoiser, "forward", warp_again)
    painted = frames_of(head, folder, steps=steps).astype(int)
    warped = frames_of(plain, folder).astype(int)
    assert np.abs(painted - warped).max() <= 1


def test_it_paints_mouth_and_eyes_and_nothing_else(head, plain, folder):
    video = film(head, folder)
    changed = np.abs(np.stack(list(video.frames())).astype(int) - frames_of(plain, folder)).max(-1)
    for number in (0, 10, 21):
        points = video.landmarks(number, number + 1).values[0, :, :2]
        rows, columns = np.mgrid[: changed.shape[1], : changed.shape[2]]
        place = np.stack([columns, rows], -1)
        eyes = np.linalg.norm(points[468] - points[473])
        near = np.zeros(rows.shape, bool)
        own = video._face.landmarks
        lips_are_apart = points[14, 1] - points[13, 1] > max(3, 1.6 * (own[14, 1] - own[13, 1]))
        for centre in (points[[13, 14]].mean(0), points[468], points[473]):
            inside = np.linalg.norm(place - centre, axis=-1) < 0.2 * eyes
            if lips_are_apart or centre[1] < points[4, 1]:
                assert changed[number][inside].max() > 5
            near |= np.linalg.norm(place - centre, axis=-1) < 1.1 * eyes
        assert not changed[number][~near].any()
        nose_bridge = tuple(points[6].round().astype(int))[::-1]
        assert changed[number][nose_bridge] <= 2


class TestConditions:
    @pytest.fixture
    def scene(self, head, folder):
        video = film(head, folder)
        values = np.linspace(0, 1, video.frame_count, dtype=np.float32)[:, None]
        requested = AUTrack(values=values, rate=25, channels=("AU12L",), convention="facs")
        features = torch.arange(video.frame_count)[:, None].expand(-1, 80).float()
        return video, builder_of(head, video, action_units=requested, speech_features=features)

    def test_frames_at_the_edge_of_a_window_see_their_true_neighbours(self, scene):
        video, builder = scene
        conditions = builder.conditions(builder.window(video.landmarks(8, 16)), 8)
        smile = conditions.au[0, :, 11]  # lip_corner_pull_left
        assert torch.allclose(smile, torch.linspace(0, 1, 22)[6:18])
        assert conditions.margins == {"au": 2}
        assert conditions.audio[0, 0, :, 0].tolist() == [6, 7, 8, 9, 10]
        assert conditions.audio[0, 7, :, 0].tolist() == [13, 14, 15, 16, 17]
        ending = builder.conditions(builder.window(video.landmarks(16, 22)), 16)
        assert ending.audio[0, -1, :, 0].tolist() == [19, 20, 21, 21, 21]

    def test_the_warp_is_what_the_viewer_would_see_and_its_holes_are_marked(self, scene):
        video, builder = scene
        track = video.landmarks(4, 6)
        warped = builder.conditions(builder.window(track), 4).warped
        assert warped.shape == (2, 2, 4, SIZE_PX, SIZE_PX)
        seen = torch.from_numpy(warped_frame(video, 4))
        mouth, eyes = (crop_frames(track.values[:1], view)[0] for view in ("mouth", "eyes"))
        assert torch.allclose(warped[0, 0, :3], 2 * crops.cut(seen, mouth, SIZE_PX) - 1, atol=0.02)
        assert torch.allclose(warped[1, 0, :3], 2 * crops.cut(seen, eyes, SIZE_PX) - 1, atol=0.02)
        pixels = crops.apply(eyes.matrix(SIZE_PX), track.values[0])[:, :2].round().astype(int)
        for centre in (pixels[468], pixels[473]):  # between the lids
            assert warped[1, 0, 3, centre[1], centre[0]] < 0.9  # an eye is few pixels high here
        assert warped[1, 0, 3, pixels[4][1], pixels[4][0]] == 1  # the tip of the nose

    def test_an_empty_request_is_absent_and_not_neutral(self, scene):
        video, builder = scene
        builder.action_units = None
        assert builder.conditions(builder.window(video.landmarks(0, 4)), 0).au is None


def test_frames_of_a_long_video_come_without_waiting_for_all(head, folder, monkeypatch):
    spans: list[tuple[int, int]] = []
    video = film(head, folder)
    original = video.landmarks
    monkeypatch.setattr(video, "landmarks", lambda *span: spans.append(span) or original(*span))
    frames = video.frames()
    next(frames)
    assert spans in ([(0, 8)], [(0, 8), (8, 16)], [(0, 8), (8, 16), (16, 22)])
    frames.close()
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


def test_an_error_in_preparing_a_window_is_raised(head, folder, monkeypatch):
    video = film(head, folder)
    original = video.landmarks

    def broken(first: int, stop: int):
        if first >= 8:
            raise FaceError("lost at frame 8")
        return original(first, stop)

    monkeypatch.setattr(video, "landmarks", broken)
    made = []
    with pytest.raises(FaceError, match="lost at frame 8"):
        made.extend(video.frames())
    assert len(made) == 8


def test_cancelling_between_steps(head, folder):
    video = film(head, folder)
    builder = builder_of(head, video)
    calls: list[tuple[int, int]] = []

    def cancel(done: int, of: int) -> None:
        calls.append((done, of))
        if done == 3:
            raise KeyboardInterrupt

    settings = WindowSettings(frames=8, steps=2)
    with pytest.raises(KeyboardInterrupt):
        list(Inpainter(builder).frames(video.landmarks, count=22, seed=0, settings=settings, on_step=cancel))
    assert calls == [(1, 6), (2, 6), (3, 6)]


def test_running_out_of_memory_names_what_to_lower(head, folder, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(VideoDenoiser, "forward", too_much)
    with pytest.raises(UsageError, match="lower the window from 8 frames"):
        frames_of(head, folder)


def test_one_frame_at_a_time(head, folder, monkeypatch):
    forward, sizes = VideoDenoiser.forward, []

    def counted(self, sample, *given):
        sizes.append(sample.shape[1])
        return forward(self, sample, *given)

    monkeypatch.setattr(VideoDenoiser, "forward", counted)
    frames = film(head, folder, window=1, steps=1).frames()
    for number in range(1, 5):
        next(frames)
        assert sizes == [1] * number
    frames.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be between 1 and 1000"),
        ({"au_guidance": -1}, "between 0 and 20"),
        ({"audio_guidance": 21}, "between 0 and 20"),
        ({"window": 13}, "between 1 and 12"),
        ({"window": 0}, "between 1 and 12"),
    ],
)
def test_values_out_of_range(head, folder, settings, message):
    with pytest.raises(UsageError, match=message):
        film(head, folder, **settings)


def test_guidance_of_a_missing_conditioner_and_settings_without_a_denoiser(plain, folder):
    deaf = painting_head(plain, build_denoiser(tiny_config().changed(au=None, audio=None), seed=0))
    with pytest.raises(UsageError, match="not conditioned on speech"):
        film(deaf, folder, audio_guidance=2)
    for name in ("steps", "audio_guidance", "window"):
        with pytest.raises(UsageError, match=f"{name}: no effect"):
            plain(folder / "me.png", folder / "talk.wav", settings=Settings(**{name: 2}))


def test_a_model_of_unknown_units_is_refused(plain, folder):
    config = tiny_config()
    head = painting_head(plain, build_denoiser(config.changed(au=replace(config.au, action_units=6)), seed=0))
    with pytest.raises(WeightsError, match="6 Action Units"):
        next(iter(film(head, folder).frames()))


@pytest.fixture(scope="module", params=["landmark", "auhead"])
def models(request, tmp_path_factory) -> Path:
    """A folder as published parts come, tiny and random: SD 1.5 UNet, AnimateDiff, VAE, CLIP, wav2vec 2.0."""
    diffusers, transformers = (pytest.importorskip(name) for name in ("diffusers", "transformers"))
    place = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    diffusers.UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=8,
    ).save_pretrained(place / "unet")
    diffusers.MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=16,
    ).save_pretrained(place / "motion_adapter")
    diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8,) * 4,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(place / "vae")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    clip = transformers.CLIPVisionConfig(**small, image_size=32, patch_size=16, projection_dim=5)
    transformers.CLIPVisionModelWithProjection(clip).save_pretrained(place / "image_encoder")
    config = tiny_config(request.param)
    if config.audio:
        config = config.changed(audio=replace(config.audio, features=16))
        speech = transformers.Wav2Vec2Config(
            **small, conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2
        )
        transformers.Wav2Vec2Model(speech).save_pretrained(place / "speech_encoder")
    base = load_base(config, BaseFolders(unet=place, motion_adapter=place / "motion_adapter"))
    save_denoiser(base, place / "denoiser.safetensors", only=[*base.conditioners])
    return place


def test_a_folder_of_the_papers_size_paints_a_clip(models, folder, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.05, 3840).astype(np.float32)  # 6 frames
    write_audio(tmp_path / "talk.wav", Waveform(samples=noise, rate_hz=16000), mark=MARK)
    head = TalkingHead.from_pretrained(models, device="cpu")
    settings = Settings(steps=2, au_guidance=3.5 if "auhead" in models.name else None)
    video = head(folder / "me.png", tmp_path / "talk.wav", au={"AU12": 0.7}, settings=settings)
    video.save(tmp_path / "out.mp4")
    assert video.frame_count == 6 and provenance.verify(tmp_path / "out.mp4").verdict == "intact"
    frames = np.stack([video._for_sheet[number] for number in range(6)]).astype(int)
    warp = np.stack([warped_frame(video, n) for n in range(6)])
    changed = np.abs(frames - warp).max(-1)
    x, y = video._face.landmarks[4, :2].round().astype(int)
    assert changed[:, y - 10 : y + 10, x - 10 : x + 10].mean() > 5
    builder = builder_of(head, video)
    outside = np.ones(changed.shape[1:], bool)
    outside[builder.whole.box] = False
    assert outside.any() and not changed[:, outside].any()
    assert changed[:, *(side.start for side in builder.whole.box)].max() <= 1  # the corner: a soft border


def test_the_papers_size_names_what_it_needs(models, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"needs a CUDA GPU and there is none here: .* GB"):
        TalkingHead.from_pretrained(models)
    with pytest.raises(UsageError, match="no CUDA GPU here; choose cpu"):
        TalkingHead.from_pretrained(models, device="cuda")
    for missing, message in (("vae", "AutoencoderKL"), ("image_encoder", "CLIPVision")):
        shutil.copytree(models, tmp_path / missing)
        shutil.rmtree(tmp_path / missing / missing)
        with pytest.raises(WeightsError, match=message):
            TalkingHead.from_pretrained(tmp_path / missing, device="cpu")
    with pytest.raises(WeightsError, match=r"holds no denoiser\.safetensors.*vae/"):
        TalkingHead.from_pretrained(folder_without(tmp_path), device="cpu")


def folder_without(place: Path) -> Path:
    (place / "empty").mkdir()
    return place / "empty"


def test_full_without_a_folder_names_the_option_and_the_parts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"name a folder as preset.*vae/.*CUDA GPU.* GB"):
        TalkingHead.from_pretrained("full")


def test_a_file_of_latents_needs_its_folder(plain, tmp_path):
    save_denoiser(build_denoiser(tiny_config("landmark"), seed=0), tmp_path / "latents.safetensors")
    with pytest.raises(WeightsError, match="4 channels of latents"):
        load_bundle(tmp_path / "latents.safetensors", speech=plain._speech.phones)


def test_the_shipped_denoiser_paints_open_mouths_in_one_step_and_leaves_the_rest(folder, plain):
    head = TalkingHead.from_pretrained("compact")
    assert head._renderer.bundle.settings().steps == 1 and head._renderer.bundle.denoiser.config.views == (
        "mouth",
    )
    video, warped = film(head, folder, steps=None), film(plain, folder)
    made = np.stack(list(video.frames())).astype(int)
    changed = np.abs(made - np.stack(list(warped.frames()))).max(-1)
    for number in range(len(made)):
        points = video.landmarks(number, number + 1).values[0, :, :2]
        rows, columns = np.mgrid[: changed.shape[1], : changed.shape[2]]
        lips = points[list(OUTER_LIPS)]
        near = (np.abs(columns - lips[:, 0].mean()) < np.ptp(lips[:, 0])) & (
            np.abs(rows - lips[:, 1].mean()) < 0.8 * np.ptp(lips[:, 0])
        )
        assert not changed[number][~near].any()


def test_fast_paints_every_second_frame_and_goes_over_in_between(folder, plain):
    every, half = (TalkingHead.from_pretrained(name) for name in ("compact", "fast"))
    request = {"au": {"AU26": 0.9, "AU25": 0.9}, "settings": Settings(head=0.0)}
    videos = [head(folder / "me.png", folder / "talk.wav", **request) for head in (every, half)]
    whole, spared = (np.stack(list(video.frames())).astype(int) for video in videos)
    assert whole.shape == spared.shape
    assert np.abs(whole[0] - spared[0]).max() <= 3  # alone in neither window, but painted in both
    assert np.abs(whole - spared).mean() < 0.5


def test_a_bundle_paints_as_its_file_does(plain, tmp_path):
    save_denoiser(build_denoiser(tiny_config(), seed=1), tmp_path / "tiny.safetensors")
    bundle = load_bundle(tmp_path / "tiny.safetensors", speech=plain._speech.phones, size_px=SIZE_PX)
    sample = torch.randn(1, 3, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, plainly = (
            one(sample, torch.tensor([999.0]), Conditions())
            for one in (bundle.denoiser, load_denoiser(tmp_path / "tiny.safetensors"))
        )
    assert torch.allclose(ours, plainly, atol=1e-4)  # a grey level is 1 / 127.5
