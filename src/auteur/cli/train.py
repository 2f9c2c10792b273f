"""`auteur train RECIPE --setting value --out DIR`: data → trained models."""

import json as json_text
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from auteur.cli.arguments import Flag, options
from auteur.cli.checks import check_arguments
from auteur.cli.console import note
from auteur.errors import AuteurError, UsageError


@options
class TrainArguments:
    """Options that every recipe has; its own settings come beside them."""

    recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")] = ""
    """Name of the recipe, or `all` with --smoke; --list names them, `auteur train RECIPE --help` lists its
    settings."""
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

    A killed run resumes when the same command is given again. For several GPUs or machines:
    accelerate launch -m auteur.cli train RECIPE …

    Examples:
        auteur train --list
        auteur train motion --help
            the settings of a recipe
        auteur train motion --shards SHARDS --schedule.steps 1300 --out runs/motion
        auteur train motion --smoke
            a trial in seconds
    """
    from auteur.lab.train import recipes

    if arguments.list:
        print(recipes.listing())
        return 0
    if not arguments.recipe:
        raise UsageError("name a recipe, such as `auteur train motion`; --list names them all")
    return _smoke(arguments)


def run_recipe(arguments: Sequence[str]) -> int | None:
    """Reads the settings of the recipe that is named first, and runs it.

    Returns:
        The exit code; None if no recipe is named or a trial is wanted: then the options are `TrainArguments`.
    """
    name = arguments[0] if arguments else ""
    if not name or name.startswith("-") or "--smoke" in arguments:
        return None
    from auteur.lab.train import recipes

    kind: Any = Annotated[recipes.config_class(name), tyro.conf.arg(name="")]

    def options_of(recipe: kind, json: Flag = False) -> tuple[Any, bool]:  # pyright: ignore[reportInvalidTypeForm]
        """Returns the settings of a recipe, and whether to report as JSON.

        Args:
            recipe: Settings.
            json: End with one JSON object on standard output.
        """
        return recipe, json

    given = ["--out" if one == "-o" else one for one in arguments[1:]]
    description = recipes.description(name)
    try:
        recipe, json = tyro.cli(options_of, prog=f"auteur train {name}", description=description, args=given)
    except SystemExit as stop:  # 0 after --help, 2 after a usage error
        return int(stop.code or 0)
    check_arguments(recipe)
    result = recipes.train(name, recipe)
    print(json_text.dumps(result) if json else f"{result['out']}: trained")
    return 0


def _smoke(arguments: TrainArguments) -> int:
    from auteur.lab.train import recipes

    names = list(recipes.RECIPES) if arguments.recipe == "all" else [arguments.recipe]
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
