"""AU guidance on published bases: AUHead's equation 6 and the nested form, from their four terms."""

from dataclasses import replace

import pytest
import torch
from tiny_published import IMAGE, weighted

from auteur.errors import UsageError
from auteur.painting.published_options import PublishedOptions
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.published.adapter import new_adapter
from auteur.synthesis.published.checkpoints import LAYOUTS
from auteur.synthesis.published.memo import MemoConditions
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.schedule import LoopSettings

SIZES = AUConfig(form="sequence", action_units=6, width=16, grid=2, head=8, margin=0)
FRAMES, SIDE = 2, 8


@pytest.fixture(scope="module")
def model():
    made = weighted("memo", torch.float32)
    unet = made.get_submodule(LAYOUTS["memo"].unet)
    torch.manual_seed(0)
    made.adapter = new_adapter(unet, SIZES).eval()
    for one in made.adapter.adapters.values():
        torch.nn.init.normal_(one.attention.to_out[0].weight)
    return made


@pytest.fixture(scope="module")
def given() -> MemoConditions:
    random = torch.Generator().manual_seed(1)
    return MemoConditions(
        embedding=torch.randn(1, IMAGE["embedding"], generator=random),
        audio=torch.randn(FRAMES, 5, 2, 16, generator=random),
        emotion=3,
        adapter=torch.rand(FRAMES, 6, generator=random),
    )


def made(model, given, memory: Memory | None = None, **settings) -> torch.Tensor:
    random = torch.Generator().manual_seed(2)
    return model.window(
        torch.randn(1, FRAMES, 4, SIDE, SIDE, generator=random),
        reference=torch.randn(3, 4, SIDE, SIDE, generator=random),
        given=given,
        settings=LoopSettings(steps=1, **settings),
        memory=memory,
    )


@torch.no_grad()
def test_the_nested_form_with_one_scale_is_guidance_as_published_bases_have_it(model, given):
    usual = made(model, given, guidance=3.0)
    assert torch.allclose(made(model, given, guidance=3.0, au=3.0, form="nested"), usual, atol=1e-4)
    assert not torch.allclose(made(model, given, guidance=3.0, au=3.0, form="published"), usual, atol=1e-3)
    assert not torch.allclose(made(model, given, guidance=3.0, au=0.0, form="nested"), usual, atol=1e-3)


@torch.no_grad()
def test_the_published_form_counts_action_units_twice_at_unit_scales(model, given):
    """L(AU) + L(H) - L(φ) + L(H, AU) - L(H): linear in both scales, so four runs give every term."""
    at = {
        (h, au): made(model, given, guidance=h, au=au, form="published")
        for h in (0.0, 1.0)
        for au in (0.0, 1.0)
    }
    assert torch.allclose(at[1, 1] - at[0, 1], at[1, 0] - at[0, 0], atol=1e-4)
    nested = made(model, given, guidance=1.0, au=1.0, form="nested")
    effect_alone = at[0, 0] - made(model, given, guidance=0.0, au=0.0, form="nested")
    assert torch.allclose(at[1, 1] - nested, effect_alone, atol=1e-4) and effect_alone.abs().max() > 1e-4


@torch.no_grad()
def test_the_memory_of_windows_is_added_to_once(model, given):
    memories = []
    for au in (None, 3.0):
        memory = Memory()
        for _ in range(2):
            made(model, given, memory, guidance=3.0, au=au)
        memories.append(memory)
    for key, (products, total) in memories[0].sums.items():
        assert torch.allclose(memories[1].sums[key][0], products, atol=1e-5)
        assert torch.allclose(memories[1].sums[key][1], total, atol=1e-5)


def test_a_form_needs_an_adapter_and_is_recorded(given):
    options = {"guidance_form": "published", "au_guidance": 3.5}
    loop = PublishedOptions.of(options, "memo", has_adapter=True).loop
    assert (loop.au, loop.form, loop.guidance) == (3.5, "published", 3.5)
    assert PublishedOptions.of(options, "memo", has_adapter=True).record["guidance_form"] == "published"
    assert PublishedOptions.of({"au_guidance": 3.5}, "memo", has_adapter=True).loop.au is None
    with pytest.raises(UsageError, match="no Action Unit adapter"):
        PublishedOptions.of(options, "memo")
    with pytest.raises(UsageError, match="au guidance is 21"):
        PublishedOptions.of(options | {"au_guidance": 21.0}, "memo", has_adapter=True)
    assert replace(given, adapter=None).adapter is None
