"""The command `auteur`: one thin file per verb, one line per error, one exit code per kind of failure."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from auteur import __version__
from auteur.errors import AuteurError

VERBS: dict[str, str] = {
    "direct": "auteur.cli.direct",
    "evaluate": "auteur.cli.evaluate",
    "express": "auteur.cli.express",
    "generate": "auteur.cli.generate",
    "move": "auteur.cli.move",
    "prepare": "auteur.cli.prepare",
    "track": "auteur.cli.track",
    "train": "auteur.cli.train",
    "verify": "auteur.cli.verify",
}
"""Every verb and the module that holds a function of its name."""

INTERNAL_ERROR = 5
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code: 0 ok, 2 usage, 3 bad input, 4 partly done, 5 internal."""
    # Threads of NumPy's matrices wait for each other by spinning; it reads this once, when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if given[:1] == ["--version"]:
        print(f"auteur {__version__}")
        return 0
    try:
        return _run(given)
    except AuteurError as error:
        if debug:
            raise
        print(f"auteur: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("auteur: stopped; nothing half-done was left behind", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        print(
            f"auteur: internal error: {type(error).__name__}: {error}; run again with --debug",
            file=sys.stderr,
        )
        return INTERNAL_ERROR


def _run(arguments: list[str]) -> int:
    import tyro  # 0.15 s: not for --version

    verbs: dict[str, Callable[..., Any]] = {
        verb: getattr(import_module(module), verb) for verb, module in VERBS.items()
    }
    try:
        if arguments[:1] == ["train"]:  # its options depend on the recipe
            return import_module(VERBS["train"]).run(arguments[1:])
        return tyro.extras.subcommand_cli_from_dict(
            verbs, prog="auteur", description=_DESCRIPTION, args=arguments or ["--help"], config=()
        )
    except SystemExit as stop:  # argparse's own way out: 0 after --help, 2 after a usage error
        return int(stop.code or 0)


_DESCRIPTION = """Direct a face.

auteur generate me.jpg talk.wav       make a portrait speak
auteur move talk.wav --portrait me.jpg -o landmarks.json
                                       how it would move, as landmarks
auteur direct talk.wav -o talk.csv     hear the emotion, write Action Units
auteur express --emotion happy --seconds 4 -o happy.csv
                                       an emotion as Action Units over time
auteur track me.mp4 -o me.csv          what a face does, frame by frame
auteur evaluate made/ real/ -o report  how good videos are
auteur prepare MEAD --kind mead -o shards
                                       a data set as shards to train on
auteur train motion --smoke            train a model by its recipe; --list names them
auteur verify out.mp4                  what marks a file carries

Any verb with --help says more. --debug shows the traceback of an error."""
