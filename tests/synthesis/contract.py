"""The contract of denoisers; `test_contract.py` checks it for every preset."""

import pytest
import torch
from denoiser_samples import conditions_of, loud, sample_of, times

from auteur.errors import UsageError
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names, train_only
from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser


@torch.no_grad()
def predict(model: VideoDenoiser, conditions: Conditions, sample=None, time=None) -> torch.Tensor:
    sample = sample_of(model.config) if sample is None else sample
    return model(sample, times(len(sample)) if time is None else time, conditions)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5, rtol=1e-4)


class DenoiserContract:
    """Inherit, and provide the fixture `model`: a denoiser none of whose layers is zero."""

    def test_shape_dtype_and_device(self, model):
        sample = sample_of(model.config)
        predicted = predict(model, conditions_of(model.config), sample)
        assert predicted.shape == sample.shape
        assert predicted.dtype == model.dtype == torch.float32
        assert predicted.device == model.device
        assert torch.isfinite(predicted).all()

    def test_repeating_gives_the_same(self, model):
        conditions = conditions_of(model.config)
        assert torch.equal(predict(model, conditions), predict(model, conditions))

    def test_half_precision(self, model):
        half = loud(model.config).to(torch.bfloat16)
        sample = sample_of(model.config).bfloat16()
        predicted = predict(half, conditions_of(model.config), sample)
        assert predicted.dtype == torch.bfloat16
        whole = predict(model, conditions_of(model.config))
        assert (predicted.float() - whole).abs().mean() < 0.05 * whole.abs().mean()

    def test_save_and_load(self, model, tmp_path):
        save_denoiser(model, tmp_path / "model.safetensors")
        loaded = load_denoiser(tmp_path / "model.safetensors")
        assert loaded.config == model.config
        conditions = conditions_of(model.config)
        assert torch.equal(predict(loaded, conditions), predict(model, conditions))

    def test_a_batch_is_a_loop(self, model):
        conditions, sample = conditions_of(model.config), sample_of(model.config)
        batch = predict(model, conditions, sample)
        for row in range(len(sample)):
            alone = slice(row, row + 1)
            one = predict(model, conditions.index(alone), sample[alone], times()[alone])
            assert close(batch[alone], one)

    def test_frames_apart_are_frames_together_without_temporal_layers(self, model):
        still = model.config.changed(temporal=None, past=None)
        model = loud(still)
        conditions = conditions_of(still).with_margin("au", 2)
        sample = sample_of(still)
        whole = predict(model, conditions, sample)
        parts = [
            predict(model, conditions.frames(slice(first, last)), sample[:, first:last])
            for first, last in ((0, 2), (2, 3))
        ]
        assert close(torch.cat(parts, 1), whole)

    def test_each_condition_counts_and_its_null_is_neither_neutral_nor_present(self, model):
        conditions = conditions_of(model.config)
        with_all = predict(model, conditions)
        for name in model.condition_names:
            neutral = conditions.replace(**{name: torch.zeros_like(getattr(conditions, name))})
            absent = predict(model, conditions.without(name))
            assert not torch.allclose(absent, with_all), f"{name} does nothing"
            assert not torch.allclose(absent, predict(model, neutral)), f"null {name} is a neutral one"

    def test_leaving_out_is_the_same_as_marking_absent(self, model):
        conditions = conditions_of(model.config)
        for name in model.condition_names:
            left_out = conditions.replace(**{name: None})
            assert close(predict(model, conditions.without(name)), predict(model, left_out)), name

    def test_rows_may_have_different_conditions(self, model):
        conditions, sample = conditions_of(model.config), sample_of(model.config)
        full, bare = conditions.index(slice(0, 1)), conditions.index(slice(1, 2))
        bare = bare.without(*model.condition_names[1:])
        mixed = predict(model, Conditions.stack([full, bare]), sample)
        assert close(mixed[:1], predict(model, full, sample[:1], times()[:1]))
        assert close(mixed[1:], predict(model, bare, sample[1:], times()[1:]))

    def test_a_cached_reference_is_the_reference(self, model):
        conditions = conditions_of(model.config)
        with torch.no_grad():
            features = model.reference_features(conditions.reference)
        cached = conditions.replace(reference=features)
        assert torch.equal(predict(model, cached), predict(model, conditions))

    def test_prepared_conditions_are_the_conditions(self, model):
        conditions = conditions_of(model.config)
        with torch.no_grad():
            prepared = model.prepare(conditions)
        assert not isinstance(prepared.past, torch.Tensor)
        assert torch.equal(predict(model, prepared), predict(model, conditions))
        row = prepared.index(slice(1, 2))
        sample = sample_of(model.config)[1:]
        assert close(predict(model, row, sample, times()[1:]), predict(model, conditions)[1:])

    def test_gradient_reaches_what_learns_and_nothing_else(self, model):
        model = loud(model.config).train()
        conditions = conditions_of(model.config)
        # One row has everything and one nothing, so that nulls learn too.
        mixed = Conditions.stack([conditions.index(slice(0, 1)), conditions.index(slice(1, 2)).only()])
        for part in part_names(model):
            learning = train_only(model, [part])
            model.zero_grad()
            model(sample_of(model.config), times(), mixed).square().sum().backward()
            silent = [name for name, one in learning.items() if one.grad is None or not one.grad.any()]
            assert not silent, silent
            learns = {id(one) for one in learning.values()}
            assert all(one.grad is None for one in model.parameters() if id(one) not in learns)

    def test_recomputing_feature_maps_changes_no_gradient(self, model):
        model = loud(model.config).train()
        conditions = conditions_of(model.config)
        gradients = []
        for model.checkpointing in (False, True):
            model.zero_grad()
            model(sample_of(model.config), times(), conditions).square().sum().backward()
            gradients.append(model.unet.conv_in.weight.grad.clone())
        assert close(*gradients)

    def test_what_it_has_no_conditioner_for_is_refused(self, model):
        bare = loud(model.config.changed(au=None, audio=None, past=None))
        assert not {"au", "audio", "past"} & set(bare.condition_names)
        with pytest.raises(UsageError, match="takes no au"):
            predict(bare, Conditions(au=torch.zeros(2, 3, 6)))

    def test_shapes_that_do_not_fit_are_refused(self, model):
        conditions = conditions_of(model.config)
        for name in model.condition_names:
            value = getattr(conditions, name)
            wrong = {name: value[:, :, :-1] if name == "au" and value.ndim == 5 else value[..., :-1]}
            with pytest.raises(UsageError, match=f"{name} ha(s|ve) shape"):
                predict(model, conditions.replace(**wrong))
        with pytest.raises(UsageError, match="multiples of"):
            predict(model, Conditions(), torch.zeros(2, 3, model.config.channels, 9, 9))
