"""What every row of the conditioner registry must do, and that one file and one row make a new one."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import torch
import toy_conditioner
from denoiser_samples import TINY
from toy_conditioner import DefocusConditioner

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import (
    Entry,
    Given,
    GuidanceScale,
    NetworkShape,
    ReferenceFeatures,
    SampleSize,
)
from auteur.synthesis.conditioners.reference import ReferenceConditioner
from auteur.synthesis.conditioners.registry import CONDITIONERS, inputs_by_name
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.layers import UNet
from auteur.synthesis.denoiser.unet import entries_of, places_of

ROWS, FRAMES, SIDE = 2, 3, 8
SIZE = SampleSize(ROWS, FRAMES, 3, SIDE, SIDE)
SMALL = {name: one for config in TINY.values() for name, one in config.conditioners.items()}
KINDS = [*CONDITIONERS.values(), DefocusConditioner]


def unet() -> UNet:
    return UNet(
        channels=3, widths=(8, 16), attends=(True, True), layers=1, heads=2, groups=4, context_width=8
    )


def shape() -> NetworkShape:
    """No `DenoiserConfig` is needed to build a conditioner."""
    network = unet()
    return NetworkShape(
        places=places_of(network),
        entries=entries_of(network),
        groups=4,
        time_width=network.time_embedding.linear_2.out_features,
        context_tokens=2,
        context_width=8,
        reference_unet=unet(),
    )


def features_of(pictures: torch.Tensor) -> ReferenceFeatures:
    torch.manual_seed(5)
    reader = ReferenceConditioner.build(CONDITIONERS["reference"].config_type(), shape())
    return reader.features(pictures, torch.zeros(1, 2, 8))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture
def conditioner(kind):
    torch.manual_seed(0)
    return kind.build(SMALL.get(kind.name, kind.config_type()), shape()).eval()


def tensors_for(conditioner, fill: float | None = None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    given = {}
    for name, sizes in conditioner.shapes(SIZE).items():
        wanted = (ROWS, *(16 if size is None else size for size in sizes))
        given[name] = torch.rand(wanted, generator=generator) if fill is None else torch.full(wanted, fill)
    return given


def entry_value(conditioner):
    """A place, and a value that the conditioner's entry may hold there."""
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(ROWS * FRAMES, 8, SIDE, SIDE, generator=generator)
    return {
        Entry.CONTEXT: ("", torch.randn(ROWS, 2, 8, generator=generator)),
        Entry.INPUT: ("", maps),
        Entry.LEVEL: ("0", maps),
        Entry.RESIDUAL: ("down_0_0", None),
        Entry.SELF_ATTENTION: ("down_0_0", {}),
    }.get(conditioner.entry, ("down_0_0", maps))


def numbers_of(changed) -> torch.Tensor:
    """What a conditioner returned, as one tensor [B or N, …]."""
    if isinstance(changed, dict):
        return changed["reference"]
    return torch.cat(changed, 1) if isinstance(changed, tuple) else changed


@torch.no_grad()
def run(conditioner, tensors=None, present=None) -> torch.Tensor:
    given = Given()
    if tensors is not None:
        present = torch.ones(ROWS, dtype=torch.bool) if present is None else present
        given = Given(tensors, present)
        conditioner.check(given, SIZE)
        first = conditioner.inputs[0].name
        given = Given({**tensors, first: conditioner.prepare(tensors[first], features_of)}, present)
    time = torch.zeros(ROWS * FRAMES, shape().time_width)
    code = conditioner.encode(given, SIZE, time)
    return numbers_of(conditioner(*entry_value(conditioner), code))


def loud(conditioner):
    generator = torch.Generator().manual_seed(3)
    for parameter in conditioner.parameters():
        if not parameter.any():
            parameter.data.normal_(0, 0.3, generator=generator)
    return conditioner


def test_a_row_holds_what_the_others_need(kind):
    assert kind.inputs[0].name == kind.name
    assert kind.guided_by in (None, *get_args(GuidanceScale))
    assert 0 <= kind.config_type().dropout < 1
    assert not {one.name for one in kind.inputs} & {one.name for one in fields(DenoiserConfig)}


def test_it_is_silent_at_first(conditioner):
    if conditioner.entry is Entry.SELF_ATTENTION:  # its gate is applied by the attention
        assert not any(gate.any() for gate in conditioner.gates.values())
        return
    _, before = entry_value(conditioner)
    for tensors in (None, tensors_for(conditioner)):
        after = run(conditioner, tensors)
        assert not after.any() if before is None else torch.equal(after, before)


@pytest.mark.slow
def test_absent_is_the_same_for_some_rows_as_for_all_and_is_neither_given_nor_neutral(conditioner):
    loud(conditioner)
    tensors = tensors_for(conditioner)
    given, absent = run(conditioner, tensors), run(conditioner)
    neutral = run(conditioner, tensors_for(conditioner, 0.0))
    assert not torch.allclose(given, absent)
    if conditioner.name != "identity":  # whose null is the base's own context
        assert not torch.allclose(neutral, absent)
    mixed = run(conditioner, tensors, torch.tensor([True, False]))
    half = len(mixed) // 2
    assert torch.allclose(mixed[:half], given[:half], atol=1e-5)
    assert torch.allclose(mixed[half:], absent[half:], atol=1e-5)


def test_a_shape_that_does_not_fit_is_refused_by_name(conditioner):
    for name, sizes in conditioner.shapes(SIZE).items():
        good = tensors_for(conditioner)
        axis = next(index for index, size in enumerate(sizes) if size is not None)
        bad = {**good, name: good[name].repeat_interleave(2, axis + 1)}
        with pytest.raises(UsageError, match=rf"{name} has shape .*; it must be \[B, "):
            conditioner.check(Given(bad, torch.ones(ROWS, dtype=torch.bool)), SIZE)
        with pytest.raises(UsageError, match=f"{name} has shape"):
            conditioner.check(Given({**good, name: good[name][0]}), SIZE)


def test_every_input_has_one_owner():
    names = [one.name for kind in CONDITIONERS.values() for one in kind.inputs]
    assert len(set(names)) == len(names)
    assert inputs_by_name().keys() == set(names)


def test_a_config_with_an_unknown_conditioner_is_refused():
    with pytest.raises(UsageError, match="unknown setting 'smell'"):
        DenoiserConfig.of(smell=1)
    with pytest.raises(UsageError, match="unknown setting 'smell'"):
        DenoiserConfig.from_json('{"smell": null}')
    with pytest.raises(UsageError, match="no conditioner"):
        DenoiserConfig.of(conditioners={"smell": 1})
    with pytest.raises(AttributeError, match="no setting 'smell'"):
        _ = DenoiserConfig().smell


@pytest.mark.slow
def test_one_file_and_one_row_reach_networks_files_clips_guidance_and_training(tmp_path):
    """In a process of its own, where the registry has one more row before it is read."""
    program = Path(toy_conditioner.__file__)
    done = subprocess.run([sys.executable, str(program), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
