"""`auteur train RECIPE --setting value --out DIR`: data → trained models."""

import json as json_text
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from auteur.cli.console import note
from auteur.errors import AuteurError, UsageError

Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True)
class TrainArguments:
    """Options that every recipe has; its own settings come beside them."""

    recipe: tyro.conf.Positional[str] = ""
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


def train(arguments: tyro.conf.OmitArgPrefixes[TrainArguments]) -> int:
    """Trains one of the models, by the recipe that made the shipped one.

    Example: auteur train motion --tracks TRACKS --schedule.steps 1300 --out runs/motion

    A killed run resumes when the same command is given again. For several GPUs or machines:
    accelerate launch -m auteur.cli train RECIPE …
    """
    from auteur.train import recipes

    if arguments.list:
        print(recipes.listing())
        return 0
    if not arguments.recipe:
        raise UsageError("name a recipe, such as `auteur train motion`; --list names them all")
    return _smoke(arguments)


def run(arguments: Sequence[str]) -> int:
    """Reads the options of the verb, which depend on the recipe, and runs it; returns the exit code."""
    name = arguments[0] if arguments else ""
    if not name or name.startswith("-") or "--smoke" in arguments:
        options = tyro.conf.OmitArgPrefixes[TrainArguments]
        return train(_parsed(options, "auteur train", train.__doc__ or "", arguments))
    from auteur.train import recipes

    kind: Any = Annotated[recipes.config_class(name), tyro.conf.arg(name="")]

    def options_of(recipe: kind, json: Flag = False) -> tuple[Any, bool]:  # pyright: ignore[reportInvalidTypeForm]
        """Returns the settings of a recipe, and whether to report as JSON.

        Args:
            recipe: Settings.
            json: End with one JSON object on standard output.
        """
        return recipe, json

    recipe, json = _parsed(options_of, f"auteur train {name}", recipes.description(name), arguments[1:])
    result = recipes.train(name, recipe)
    print(json_text.dumps(result) if json else f"{result['out']}: trained")
    return 0


def _parsed(options: Any, program: str, description: str, arguments: Sequence[str]) -> Any:
    aliases = ["--out" if one == "-o" else one for one in arguments]
    return tyro.cli(options, prog=program, description=description, args=aliases)


def _smoke(arguments: TrainArguments) -> int:
    from auteur.train import recipes

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
