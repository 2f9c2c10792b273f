"""Settings of recipes as text."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.train.recipes import RECIPES, config_class, recipe_named
from auteur.train.settings import built, settings, text_of


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    width: int = 8
    dropout: float = 0.1
    """How much is forgotten."""


@dataclass(frozen=True)
class Source:
    clips: Path
    kind: Literal["mead", "hdtf"] = "mead"


@dataclass(frozen=True)
class Recipe:
    source: Source
    out: Path
    start: Path | None = None
    sizes: tuple[int, ...] = (4, 2)
    fast: bool = False
    colour: Colour = Colour.RED
    inner: Inner = field(default_factory=lambda: Inner(width=16))


def make(*pairs: str) -> Recipe:
    return built(Recipe, ["source.clips=here", *pairs], {"out": Path("out")})


def test_values_are_typed_by_the_recipe():
    recipe = make(
        "inner.dropout=0.5", "sizes=1,2,3", "fast=yes", "colour=blue", "source.kind=hdtf", "start=a/b"
    )
    assert recipe.source == Source(Path("here"), "hdtf")
    assert recipe.inner == Inner(width=16, dropout=0.5)
    assert (recipe.sizes, recipe.fast, recipe.colour, recipe.start) == (
        (1, 2, 3), True, Colour.DARK_BLUE, Path("a/b"),
    )  # fmt: skip
    assert make("start=none").start is None
    assert make("fast=False").fast is False


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("inner.widht=3", r"no setting 'inner\.widht'; did you mean 'inner\.width'"),
        ("width=3", r"did you mean 'inner\.width'"),
        ("nonsense=3", r"no setting 'nonsense'; --help lists"),
        ("inner.width=3.5", r"inner\.width is '3\.5'; it must be a whole number"),
        ("inner.dropout=much", r"must be a number"),
        ("fast=maybe", "must be true or false"),
        ("source.kind=cremad", "must be one of mead, hdtf"),
        ("colour=green", "must be one of red, blue"),
        ("sizes=1,x", "a whole number or several with commas between"),
        ("inner.width", "is not NAME=VALUE"),
    ],
)
def test_wrong_settings_are_named(pair, message):
    with pytest.raises(UsageError, match=message):
        make(pair)


def test_what_must_be_given_is_asked_for():
    with pytest.raises(UsageError, match=r"told more: --set source\.clips=PATH"):
        built(Recipe, [], {"out": Path("out")})


@hypothesis_settings(deadline=None)
@given(st.integers(), st.floats(allow_nan=False), st.lists(st.integers(), max_size=4))
def test_what_is_shown_can_be_typed(width, dropout, sizes):
    shown = make(f"inner.width={width}", f"inner.dropout={dropout}", f"sizes={text_of(tuple(sizes))}")
    assert (shown.inner, shown.sizes) == (Inner(width, dropout), tuple(sizes))


@pytest.mark.parametrize("name", RECIPES)
def test_every_default_of_every_recipe_can_be_typed(name):
    for one in settings(config_class(name)):
        if not one.is_required:
            assert one.read(text_of(one.default)) == one.default, one.name


def test_unknown_recipes_are_named():
    with pytest.raises(UsageError, match="did you mean 'speech-encoder'"):
        recipe_named("speech_encoder")
    with pytest.raises(UsageError, match="choose one of detector"):
        recipe_named("zzz")
