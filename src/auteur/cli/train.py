"""`auteur train RECIPE --set key=value --out DIR`: data → trained models."""

import json as json_text
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, options
from auteur.cli.console import note
from auteur.errors import AuteurError, UsageError


@options
class TrainArguments:
    """Everything that `auteur train` takes."""

    recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")] = ""
    """What to train; --list names them."""
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Settings, such as schedule.steps=100 batch_size=8; `auteur train RECIPE --help` explains them."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder of the run: weights, checkpoints, log."""
    smoke: Flag = False
    """Try the recipe in seconds, on data made up for it."""
    list: Flag = False
    """Name the recipes, one per line."""
    json: Flag = False
    """End with one JSON object on standard output."""


def train(arguments: TrainArguments) -> int:
    """Trains one of the models, by the recipe that made the shipped one.

    A run that was broken off continues when the same command is given again. For several GPUs or machines:
    accelerate launch -m auteur.cli train RECIPE …

    Examples:
        auteur train --list
        auteur train motion --help
            the settings of a recipe
        auteur train motion --set tracks=TRACKS schedule.steps=1300 --out runs/motion
        auteur train motion --smoke
            a trial in seconds
    """
    from auteur.train import recipes

    if arguments.list:
        print(recipes.listing())
        return 0
    if not arguments.recipe:
        raise UsageError("name a recipe, such as `auteur train motion`; --list names them all")
    name, pairs = arguments.recipe, [pair for group in arguments.set for pair in group]
    if arguments.smoke:
        return _smoke(name, pairs, arguments)
    recipes.recipe_named(name)
    if arguments.out is None:
        raise UsageError("say with --out which folder receives the run, or try the recipe with --smoke")
    result = recipes.train(name, pairs, arguments.out)
    print(json_text.dumps(result) if arguments.json else f"{result['out']}: trained")
    return 0


def _smoke(name: str, pairs: Sequence[str], arguments: TrainArguments) -> int:
    from auteur.train import recipes

    if pairs:
        raise UsageError("--smoke brings its own settings; leave out --set, or leave out --smoke")
    names = list(recipes.RECIPES) if name == "all" else [name]
    for one in names:
        place = None if arguments.out is None else arguments.out / one
        report = recipes.smoke(one, place)
        if arguments.json:
            print(json_text.dumps({"recipe": one, **asdict(report)}))
        else:
            print(
                f"{one}: loss {report.first_loss:.4g} -> {report.last_loss:.4g} in {report.seconds} s, "
                f"wrote {', '.join(report.files)}"
            )
        if not report.last_loss < report.first_loss:
            note(f"{one} did not learn: its loss did not fall")
            return AuteurError.exit_code
    return 0


def help_of(arguments: Sequence[str]) -> str | None:
    """Returns the page of a recipe if `auteur train RECIPE --help` was asked for."""
    named = [one for one in arguments if not one.startswith("-")]
    if not named or not {"--help", "-h"} & set(arguments):
        return None
    from auteur.train import recipes

    return recipes.page(named[0])
