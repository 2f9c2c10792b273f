"""Each conditioner has no effect until it is trained, and that of its paper afterwards."""

from dataclasses import replace

import pytest
import torch
from denoiser_samples import FRAMES, ROWS, SIDE, TINY, conditions_of, loud, sample_of, times

from auteur.errors import UsageError
from auteur.synthesis.conditioners.audio import AudioConditioner, windows_around
from auteur.synthesis.conditioners.base import SampleSize
from auteur.synthesis.conditioners.landmarks import LandmarksConfig
from auteur.synthesis.conditioners.layers import NULL_DEVIATION
from auteur.synthesis.conditioners.reference import ReferenceAttention, set_attention_processors
from auteur.synthesis.conditions import CONDITION_NAMES, Conditions
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig, UNetConfig
from auteur.synthesis.denoiser.layers import UNet
from auteur.synthesis.denoiser.preconditioner import Preconditioner, amounts
from auteur.synthesis.samplers.ddim import Diffusion
from auteur.synthesis.samplers.flow import Flow

pytestmark = pytest.mark.slow

BARE = TINY["emodiffhead"].changed(
    temporal=None, reference=None, identity=None, expression=None, audio=None, past=None
)
PARTS = {
    "temporal": TINY["landmark"].temporal,
    "reference": TINY["landmark"].reference,
    "identity": TINY["landmark"].identity,
    "warped": TINY["compact"].warped,
    "landmarks": TINY["landmark"].landmarks,
    "au": TINY["auhead"].au,
    "expression": TINY["emodiffhead"].expression,
    "audio": TINY["emodiffhead"].audio,
    "past": TINY["landmark"].past,
}
AU_FORMS = {f"au as {form}": replace(TINY["auhead"].au, form=form) for form in ("sequence", "lines", "mesh")}


@pytest.fixture(scope="module")
def diffusers():
    return pytest.importorskip("diffusers", reason="equality with diffusers' layers needs the extra full")


def test_every_condition_has_a_conditioner():
    assert set(CONDITION_NAMES) == PARTS.keys() - {"temporal"}


@pytest.mark.parametrize("name", [*PARTS, *AU_FORMS])
@torch.no_grad()
def test_a_new_conditioner_leaves_the_output_bit_for_bit(name):
    needed = {"reference": PARTS["reference"]} if name == "past" else {}
    config = BARE.changed(**needed, **{name.split()[0]: {**PARTS, **AU_FORMS}[name]})
    base, plugged = loud(BARE), build_denoiser(config, seed=1)
    missing, unexpected = plugged.load_state_dict(base.state_dict(), strict=False)
    assert missing
    assert not unexpected
    sample, time = sample_of(BARE), times()
    before = base(sample, time, Conditions())
    assert torch.equal(plugged(sample, time, conditions_of(config)), before)
    assert torch.equal(plugged(sample, time, Conditions()), before)


def unet_of_diffusers(diffusers, config: DenoiserConfig):
    """A UNet that must hold the same tensors as ours."""
    sizes = config.unet
    unet = diffusers.UNet2DConditionModel(
        in_channels=config.channels * config.patch**2,
        out_channels=config.channels * config.patch**2,
        down_block_types=tuple(f"{'CrossAttn' if one else ''}DownBlock2D" for one in sizes.attends),
        up_block_types=tuple(f"{'CrossAttn' if one else ''}UpBlock2D" for one in reversed(sizes.attends)),
        block_out_channels=sizes.widths,
        layers_per_block=sizes.layers,
        attention_head_dim=sizes.heads,  # read as the number of heads by this class
        norm_num_groups=sizes.groups,
        cross_attention_dim=sizes.context_width or 1,
    )
    if sizes.context_width is None:
        for module in unet.modules():
            if type(module).__name__ == "BasicTransformerBlock":
                module.attn2 = module.norm2 = None
    return unet.eval()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("attends", [(True, False), (False, True), (True, True)])
@torch.no_grad()
def test_without_conditioners_it_is_the_unet_of_diffusers(diffusers, attends, layers):
    config = BARE.changed(unet=replace(BARE.unet, attends=attends, layers=layers))
    model, theirs = loud(config), unet_of_diffusers(diffusers, config)
    theirs.load_state_dict(model.unet.state_dict())
    sample = sample_of(config, rows=3, frames=1)
    wanted = theirs(sample.flatten(0, 1), times(3), model.context.expand(3, -1, -1)).sample
    assert torch.equal(model(sample, times(3), Conditions()).flatten(0, 1), wanted)


@torch.no_grad()
def test_its_layers_paint_as_those_of_diffusers_do(diffusers):
    """The compact network has no context, and conditioners of its own between the layers."""
    config = TINY["compact"]
    model, other = loud(config), loud(config)
    other.unet = unet_of_diffusers(diffusers, config)
    other.unet.load_state_dict(model.unet.state_dict())
    set_attention_processors(other.unet)
    sample, conditions = sample_of(config), conditions_of(config)
    assert torch.equal(model(sample, times(), conditions), other(sample, times(), conditions))


def adapter_of_diffusers(diffusers, config: DenoiserConfig):
    """A motion adapter that must hold the same tensors as ours."""
    return diffusers.MotionAdapter(
        block_out_channels=config.unet.widths,
        motion_layers_per_block=config.unet.layers,
        motion_num_attention_heads=config.temporal.heads,
        motion_norm_num_groups=config.temporal.groups,
        motion_max_seq_length=config.temporal.longest_window,
        use_motion_mid_block=config.temporal.middle,
    )


@torch.no_grad()
def test_with_motion_modules_it_is_the_motion_model_of_diffusers(diffusers):
    from auteur.synthesis.denoiser.temporal import TemporalLayers, make_adapter
    from auteur.synthesis.denoiser.unet import places_of

    config = BARE.changed(temporal=PARTS["temporal"])
    model = loud(config)
    adapter = make_adapter(config.temporal, config.unet.widths, config.unet.layers)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    model.temporal = TemporalLayers(adapter, config.temporal, places_of(model.unet))
    unet, modules = unet_of_diffusers(diffusers, config), adapter_of_diffusers(diffusers, config)
    unet.load_state_dict(model.unet.state_dict())
    modules.load_state_dict(adapter.state_dict())
    theirs = diffusers.UNetMotionModel.from_unet2d(unet, modules).eval()
    sample = sample_of(config)
    wanted = theirs(sample.transpose(1, 2), times(), model.context.expand(ROWS * FRAMES, -1, -1)).sample
    ours = model(sample, times(), Conditions())
    assert torch.allclose(ours, wanted.transpose(1, 2), atol=1e-5)


@torch.no_grad()
def test_audio_acts_in_its_region_only():
    model = loud(BARE.changed(audio=PARTS["audio"]))
    speech = model.conditioners["audio"]
    half = torch.zeros(1, 3, SIDE, SIDE)
    half[..., SIDE // 2 :] = 1
    hidden = torch.randn(1, 8, SIDE, SIDE)
    given = conditions_of(model.config, rows=1, frames=1).of(AudioConditioner)
    tokens, _ = speech.encode(given, SampleSize(1, 1, 3, SIDE, SIDE), torch.zeros(1, 1))
    added = speech("down_0_0", hidden, (tokens, half)) - hidden
    assert not added[..., : SIDE // 2].any()
    assert added[..., SIDE // 2 :].abs().mean() > 0
    lips = torch.zeros(1, 3, SIDE, SIDE)
    lips[:, 2] = 1
    only_lips = speech("down_0_0", hidden, (tokens, lips)) - hidden
    everywhere = speech("down_0_0", hidden, (tokens, None)) - hidden
    assert not torch.allclose(only_lips, everywhere)


def test_windows_of_speech_repeat_the_ends():
    features = torch.arange(4.0)[None, :, None]
    windows = windows_around(features)
    assert windows.shape == (1, 4, 5, 1)
    assert windows[0, 0, :, 0].tolist() == [0, 0, 0, 1, 2]
    assert windows[0, 3, :, 0].tolist() == [1, 2, 3, 3, 3]
    with pytest.raises(UsageError, match="must be odd"):
        windows_around(features, 4)


@torch.no_grad()
def test_action_units_act_two_frames_around_and_no_further():
    model = loud(BARE.changed(au=AU_FORMS["au as sequence"]))
    sample = sample_of(BARE, rows=1, frames=8)
    au = torch.rand(1, 8, 6)
    moved = au.clone()
    moved[:, 4] += 0.5
    one, other = (model(sample, times(1), Conditions(au=given)) for given in (au, moved))
    changed = (one - other).abs().amax((0, 2, 3, 4)) > 1e-6
    assert changed.tolist() == [abs(frame - 4) <= 2 for frame in range(8)]


@torch.no_grad()
def test_the_portraits_own_landmarks_count():
    config = BARE.changed(landmarks=PARTS["landmarks"])
    model, given = loud(config), conditions_of(config)
    other = given.replace(landmarks_reference=given.landmarks_reference.flip(-1))
    sample = sample_of(config)
    assert not torch.allclose(model(sample, times(), given), model(sample, times(), other))


def test_nulls_start_away_from_zero():
    for config in TINY.values():
        for name, parameter in build_denoiser(config, seed=0).named_parameters():
            if "null" in name:
                assert 0.2 * NULL_DEVIATION < parameter.std() < 3 * NULL_DEVIATION, name


@torch.no_grad()
def test_an_ungated_reference_is_attention_over_both():
    """Without a gate, a portrait whose pixels are the frame's own leaves self-attention as it is."""
    unet = UNet(
        channels=3, widths=(8, 16), attends=(True, True), layers=1, heads=2, groups=4, context_width=None
    )
    attention = unet.mid_block.attentions[0].transformer_blocks[0].attn1
    attention.set_processor(ReferenceAttention())
    tokens = torch.randn(2, 5, 16)
    assert torch.allclose(attention(tokens, reference=tokens), attention(tokens), atol=1e-6)
    assert not torch.allclose(attention(tokens, reference=tokens + 1), attention(tokens), atol=1e-3)


IS_WARPED = torch.tensor([True, False])


def anchored(process, time, **settings):
    """A row with a warp 0.1 brighter than the data, and one without: data, anchor, noisy, target, scaling."""
    config = DenoiserConfig.of(
        channels=3,
        process=process.name,
        data_deviation=0.5,
        anchor_deviation=0.15,
        warped=PARTS["warped"],
        unet=UNetConfig(widths=(8,), attends=(True,), heads=2, groups=4),
        **settings,
    )
    rows = torch.tensor([time, time], dtype=torch.float64)
    clean, noise = sample_of(config).double(), sample_of(config, 1).double()
    warped = torch.cat([clean + 0.1, torch.ones_like(clean[:, :, :1])], 2)
    given = Conditions(warped=warped, present={"warped": IS_WARPED})
    noisy = process.noised(clean, noise, rows)
    scaled = Preconditioner(config.diffusion).scaling(noisy, process.model_time(rows), given)
    anchor = torch.where(IS_WARPED.reshape(2, 1, 1, 1, 1), clean + 0.1, torch.zeros_like(clean))
    return clean, anchor, noisy, process.target(clean, noise, rows), scaled


@pytest.mark.parametrize("process", [Diffusion(), Flow()])
@pytest.mark.parametrize("time", [0.001, 0.3, 0.999, 1.0])
def test_the_anchor_and_scales_lead_back_to_the_process(process, time):
    """If the network's answer is right, so is what `prediction` makes of it: the process's own target."""
    clean, anchor, noisy, target, scaled = anchored(process, time)
    # Solve `prediction` for the network's answer, in the way its docstring derives it.
    rows = torch.tensor([time, time], dtype=torch.float64)
    alpha, sigma = (one.double() for one in amounts(process.name, process.model_time(rows)))
    deviation = torch.tensor([0.15, 0.5], dtype=torch.float64)
    root = (alpha**2 * deviation**2 + sigma**2).sqrt()

    def shaped(numbers):
        return numbers.reshape(2, 1, 1, 1, 1)

    residual, difference = clean - anchor, noisy - shaped(alpha) * anchor
    skip = alpha * deviation**2 / root**2
    answer = (residual - shaped(skip) * difference) / shaped(sigma * deviation / root)
    assert torch.allclose(scaled.prediction(answer), target, atol=2e-3)


@pytest.mark.parametrize("process", [Diffusion(), Flow(), Flow(0.15)])
@pytest.mark.parametrize("time", [0.05, 0.5, 1.0])
def test_a_network_that_answers_with_data_leads_back_to_the_process(process, time):
    """The answer F = (x_0 - w) / d, and absent warp F = x_0 / d_0, give the process's own target."""
    clean, anchor, _, target, scaled = anchored(process, time, answers="data")
    answer = (clean - anchor) / torch.where(IS_WARPED, 0.15, 0.5).reshape(2, 1, 1, 1, 1)
    assert torch.allclose(scaled.prediction(answer), target, atol=2e-2)


@torch.no_grad()
def test_what_enters_and_leaves_the_network_has_unit_variance():
    config = TINY["compact"].changed(anchor_deviation=None, answers="balanced", noise_shift=1.0)
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 4, 3, 64, 64, generator=generator) * d for d in (0.5, 1.0))
    for time in (0.01, 0.5, 0.99):
        rows = torch.tensor([time])
        noisy = Flow().noised(clean, noise, rows)
        scaled = Preconditioner(config.diffusion).scaling(noisy, Flow().model_time(rows), Conditions())
        assert scaled.network_input.std().item() == pytest.approx(1, abs=0.03)
        wanted = (Flow().target(clean, noise, rows) - scaled.skip * scaled.difference) / scaled.scale_out
        assert wanted.std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"process": "other"}, 'choose "ddim" or "flow"'),
        ({"reference": None, "past": PARTS["past"]}, "past frames are read by the ReferenceNet"),
        ({"anchor_deviation": 0.2}, "anchor_deviation needs"),
        ({"data_deviation": 0.0}, "between 0.01 and 10"),
        ({"answers": "noise"}, 'choose "balanced", or "data"'),
        ({"answers": "data"}, "with a data_deviation"),
        ({"process": "flow", "noise_shift": 0.0}, "shift is 0.0; it must be between"),
        ({"process": "ddim", "noise_shift": 0.5}, "only flow can be shifted"),
        ({"noise_common": 1.5}, "noise_common is 1.5; it must be between 0 and 1"),
        ({"views": ("nose",)}, "choose of mouth, eyes"),
        ({"sample_px": 33}, "sample_px is 33; it must be a multiple of"),
        ({"temporal": replace(PARTS["temporal"], levels=(True,))}, "names 1 levels of 2"),
    ],
)
def test_configs_that_make_no_sense(change, message):
    with pytest.raises(UsageError, match=message):
        BARE.changed(**change)


def test_more_configs_that_make_no_sense():
    with pytest.raises(UsageError, match="power of two"):
        LandmarksConfig(downscale=3)
    with pytest.raises(UsageError, match="needs 3 widths"):
        LandmarksConfig(downscale=4)
    with pytest.raises(UsageError, match=r"multiple of 7 groups.*multiple of 3 heads"):
        UNetConfig(widths=(8,), attends=(True,), groups=7, heads=3)
    with pytest.raises(UsageError, match="largest width"):
        UNetConfig(widths=(8192,) * 4)


def test_windows_longer_than_the_motion_modules():
    model = loud(BARE.changed(temporal=PARTS["temporal"]))
    with pytest.raises(UsageError, match="lower it to 8"):
        model(sample_of(BARE, frames=9), times(), Conditions())
