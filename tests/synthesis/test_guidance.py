"""Guidance: the published and the nested form, and what they must be equal to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_denoisers import CHANNELS, SIDE, tiny, tiny_conditions

from auteur.errors import UsageError
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.guidance import CHAIN, Guidance, guided_prediction

ROWS, FRAMES = 2, 3
scales = st.floats(0, 8).map(lambda scale: round(scale, 3))


class Counting:
    """The real denoiser, and how often and with how many rows it was called."""

    def __init__(self, model) -> None:
        self.model, self.calls = model, []
        self.config, self.device, self.dtype = model.config, model.device, model.dtype
        self.condition_names = model.condition_names

    def __call__(self, sample, timestep, conditions):
        self.calls.append(sample.shape[0])
        return self.model(sample, timestep, conditions)


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    return tiny_conditions(ROWS, FRAMES)


@pytest.fixture(scope="module")
def noisy() -> torch.Tensor:
    return torch.randn(ROWS, FRAMES, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


TIME = torch.tensor([300.0, 700.0])


@torch.no_grad()
def L(model, noisy, conditions, *kept):  # noqa: N802 - the paper's name
    names = [name for _, group in CHAIN for name in group]
    return model(noisy, TIME, conditions.without(*(name for name in names if name not in kept)))


@torch.no_grad()
def guide(model, noisy, conditions, guidance, **options):
    return guided_prediction(model, conditions, guidance, **options)(noisy, TIME)


def close(a, b) -> bool:
    return torch.allclose(a, b, atol=2e-4, rtol=1e-4)


H = ("reference", "audio")


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(others=scales, au=scales)
def test_published_form_is_equation_6(model, noisy, conditions, others, au):
    nothing, only_au = L(model, noisy, conditions), L(model, noisy, conditions, "au")
    only_h, both = L(model, noisy, conditions, *H), L(model, noisy, conditions, *H, "au")
    expected = only_au + others * (only_h - nothing) + au * (both - only_h)
    assert close(guide(model, noisy, conditions, Guidance.auhead(others=others, au=au)), expected)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(others=scales, au=scales)
def test_nested_form(model, noisy, conditions, others, au):
    nothing = L(model, noisy, conditions)
    only_h, both = L(model, noisy, conditions, *H), L(model, noisy, conditions, *H, "au")
    expected = nothing + others * (only_h - nothing) + au * (both - only_h)
    guidance = Guidance.auhead(others=others, au=au, form="nested")
    assert close(guide(model, noisy, conditions, guidance), expected)


def test_published_form_at_unit_scales_counts_action_units_twice(model, noisy, conditions):
    both, only_au = L(model, noisy, conditions, *H, "au"), L(model, noisy, conditions, "au")
    expected = both + only_au - L(model, noisy, conditions)
    assert not close(expected, both)
    assert close(guide(model, noisy, conditions, Guidance.auhead(others=1, au=1)), expected)


def test_nested_form_at_unit_scales_is_the_conditional_prediction_itself(model, noisy, conditions):
    counting = Counting(model)
    assert torch.equal(guide(counting, noisy, conditions, Guidance()), L(model, noisy, conditions, *H, "au"))
    assert counting.calls == [ROWS]


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(others=scales, au=scales, absent=st.booleans())
def test_without_action_units_both_forms_are_classifier_free_guidance(
    model, noisy, conditions, others, au, absent
):
    null = conditions.without("au") if absent else conditions.replace(au=None)
    nothing, only_h = L(model, noisy, null), L(model, noisy, null, *H)
    expected = nothing + others * (only_h - nothing)
    for form in ("published", "nested"):
        guidance = Guidance.auhead(others=others, au=au, form=form)
        assert close(guide(model, noisy, null, guidance), expected)


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(others=scales, au=scales)
def test_a_null_in_one_row_only_is_that_rows_own(model, noisy, conditions, others, au):
    present = torch.tensor([True, False])
    mixed = conditions.replace(present={"au": present})
    for form in ("published", "nested"):
        guidance = Guidance.auhead(others=others, au=au, form=form)
        got = guide(model, noisy, mixed, guidance)
        assert close(got[:1], guide(model, noisy, conditions, guidance)[:1])
        nothing, only_h = L(model, noisy, mixed)[1:], L(model, noisy, mixed, *H)[1:]
        assert close(got[1:], nothing + others * (only_h - nothing))


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(reference=scales, audio=scales, au=scales)
def test_the_chain_has_a_scale_per_link(model, noisy, conditions, reference, audio, au):
    nothing, r = L(model, noisy, conditions), L(model, noisy, conditions, "reference")
    only_h, both = L(model, noisy, conditions, *H), L(model, noisy, conditions, *H, "au")
    expected = nothing + reference * (r - nothing) + audio * (only_h - r) + au * (both - only_h)
    guidance = Guidance(reference=reference, audio=audio, au=au)
    assert close(guide(model, noisy, conditions, guidance), expected)


@given(reference=scales, audio=scales, expression=scales, au=scales, published=st.booleans())
def test_factors_sum_to_one_so_what_ignores_conditions_is_left_alone(
    reference, audio, expression, au, published
):
    form = "published" if published else "nested"
    guidance = Guidance(reference=reference, audio=audio, expression=expression, au=au, form=form)
    assert sum(guidance.terms().values()) == pytest.approx(1, abs=1e-9)
    assert all(factor != 0 for factor in guidance.terms().values())


@pytest.mark.parametrize(
    ("guidance", "evaluations"),
    [
        (Guidance.auhead(others=3.5, au=2.0), 4),
        (Guidance.auhead(others=3.5, au=3.5), 3),  # L(H) has the factor s_H - s_AU
        (Guidance.auhead(others=3.5, au=2.0, form="nested"), 3),
        (Guidance(au=3.0), 2),
        (Guidance(audio=2.0), 3),
        (Guidance(reference=0, audio=0, expression=0, au=0), 1),
        (Guidance(), 1),
    ],
)
def test_one_pass_and_no_evaluation_that_cancels(model, noisy, conditions, guidance, evaluations):
    counting = Counting(model)
    at_once = guide(counting, noisy, conditions, guidance)
    assert counting.calls == [ROWS * evaluations]
    counting.calls.clear()
    one_by_one = guide(counting, noisy, conditions, guidance, at_once=False)
    assert counting.calls == [ROWS] * evaluations
    assert close(at_once, one_by_one)


def test_cached_reference_features_can_be_guided(model, noisy, conditions):
    features = model.reference_features(conditions.reference)
    cached = conditions.replace(reference=features)
    guidance = Guidance.auhead()
    assert close(guide(model, noisy, cached, guidance), guide(model, noisy, conditions, guidance))


def test_action_units_cannot_be_guided_without_their_conditioner(noisy):
    plain = tiny(au=False)
    conditions = tiny_conditions(ROWS, FRAMES, au=False)
    with pytest.raises(UsageError, match=r"au guidance is 3\.5.*no conditioner.*reference, audio"):
        guided_prediction(plain, conditions, Guidance(au=3.5))
    guide(plain, noisy, conditions, Guidance(reference=3.5, audio=3.5, expression=3.5))


@pytest.mark.parametrize("name", [name for name, _ in CHAIN])
@pytest.mark.parametrize("scale", [-0.1, 20.5, float("nan"), float("inf")])
def test_scales_outside_their_range_are_refused(name, scale):
    with pytest.raises(UsageError, match=f"{name} guidance is .*between 0 and 20"):
        Guidance(**{name: scale})


def test_an_unknown_form_is_refused():
    with pytest.raises(UsageError, match='"published" or "nested"'):
        Guidance(form="other")  # pyright: ignore[reportArgumentType]
