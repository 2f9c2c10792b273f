"""The command `auteur`: one thin file per verb, one line per error, one exit code per kind of failure."""

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, Union, get_type_hints

import auteur
from auteur.cli import streams
from auteur.cli.clash import clash
from auteur.cli.console import note
from auteur.errors import AuteurError, InputError, UsageError
from auteur.files import check_text

VERBS: dict[str, str] = {
    "convert": "auteur.cli.convert",
    "direct": "auteur.cli.direct",
    "evaluate": "auteur.cli.evaluate",
    "express": "auteur.cli.express",
    "generate": "auteur.cli.generate",
    "move": "auteur.cli.move",
    "prepare": "auteur.cli.prepare",
    "serve": "auteur.cli.serve",
    "studio": "auteur.cli.studio",
    "track": "auteur.cli.track",
    "train": "auteur.cli.train",
    "units": "auteur.cli.units",
    "verify": "auteur.cli.verify",
}
"""Every verb and the module that holds a function of its name, which takes one class of options."""

INTERNAL_ERROR = 5
INTERRUPTED = 130

_COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")
_SHELLS = ("bash", "zsh", "fish")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code: 0 ok, 2 usage, 3 bad input, 4 partly done, 5 internal."""
    # Threads of NumPy's matrices wait for each other by spinning; it reads this once, when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    streams.secure()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if problem := clash():
        note(problem)
    try:
        code = _run(given)
        streams.flush()
        return code
    except BrokenPipeError:  # of a print; files are written by then
        streams.silence()
        return 0
    except KeyboardInterrupt:
        note("stopped; nothing half-done was left behind")
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        code, text = explain(error)
        note(text)
        return code


def explain(error: Exception) -> tuple[int, str]:
    """Returns the exit code of an error and one line about it. Only errors of Auteur itself get 5."""
    if isinstance(error, AuteurError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = "" if error.filename is None else f" {str(error.filename)!r}"
        return InputError.exit_code, f"cannot use{where or ' a file or stream'}: {error.strerror}"
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "allocate memory" in str(error):
        return (
            InputError.exit_code,
            f"not enough memory ({error}); give a smaller picture, a shorter recording or fewer --workers",
        )
    return INTERNAL_ERROR, f"internal error: {type(error).__name__}: {error}; run again with --debug"


def _run(arguments: list[str]) -> int:
    for argument in arguments:
        check_text(argument)
    first = arguments[0] if arguments else "--help"
    if first == "--version":
        print(f"auteur {getattr(auteur, '__version__', 'damaged')}")
    elif first in ("-h", "--help"):
        print(_DESCRIPTION)
    elif first in _COMPLETION:
        return _write_completion(arguments)
    elif first in VERBS:
        return _run_verb(first, arguments[1:])
    else:
        raise UsageError(f"there is no verb {first!r}; {_hint(first)}`auteur --help` lists all")
    return 0


def _hint(word: str) -> str:
    near = difflib.get_close_matches(word.lower(), VERBS, n=1, cutoff=0.5)
    return f"did you mean `auteur {near[0]}`? " if near else ""


def _run_verb(verb: str, arguments: list[str]) -> int:
    """Reads the options of one verb, of no other, and runs it. Its docstring is its help, examples last."""
    import tyro  # 0.1 s: not for --version

    from auteur.cli.checks import check_arguments

    function = getattr(import_module(VERBS[verb]), verb)
    if verb == "train" and (code := import_module(VERBS[verb]).run_recipe(arguments)) is not None:
        return code
    description, heading, examples = _help_of(function).partition("\n\nExamples:\n")
    try:
        parsed = tyro.cli(
            _options_of(function),
            prog=f"auteur {verb}",
            description=description,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone),
        )
    except SystemExit as stop:  # 0 after --help, 2 after a usage error
        if not stop.code:
            print(f"{heading.strip()}\n{examples}")
        return int(stop.code or 0)
    check_arguments(parsed)
    return function(parsed)


def _help_of(function: Callable[..., int]) -> str:
    return inspect.getdoc(function) or ""


def _options_of(function: Callable[..., int]) -> type:
    return get_type_hints(function)["arguments"]


def _write_completion(arguments: list[str]) -> int:
    """Prints or writes the completion script of a shell for every verb."""
    import tyro

    if len(arguments) < 2 or arguments[1] not in _SHELLS:
        raise UsageError(f"{arguments[0]} needs a shell: {' or '.join(_SHELLS)}")
    kinds: list[Any] = []
    for verb, module in VERBS.items():
        function = getattr(import_module(module), verb)
        summary = _help_of(function).partition("\n")[0]
        kinds.append(
            Annotated[
                _options_of(function), tyro.conf.subcommand(verb, description=summary, prefix_name=False)
            ]
        )
    config = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.DisallowNone)
    every: Any = Union[tuple(kinds)]  # noqa: UP007  # made of a list
    try:
        tyro.cli(every, prog="auteur", args=arguments, config=config)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


_DESCRIPTION = """Direct a face.

auteur generate me.jpg talk.wav        make a portrait speak
auteur move talk.wav --portrait me.jpg -o landmarks.json
                                       how it would move, as landmarks
auteur direct talk.wav -o talk.csv     the emotion in a voice as Action Units
auteur express --emotion happy --seconds 4 -o happy.csv
                                       an emotion as Action Units over time
auteur convert DOWNLOADED -o hallo     published weights as a folder for --preset
auteur track me.mp4 -o me.csv          what a face does, frame by frame
auteur convert me.csv me.livelink.csv  that table for Unreal, Blender, OpenFace …
auteur units brow                      names of what can move, to use with --au
auteur evaluate made/ real/ -o report  how good videos are
auteur prepare MEAD --kind mead -o shards
                                       a data set as shards to train on
auteur train motion --smoke            train a model by its recipe; --list names them
auteur studio                          all of it on a page: draw the performance, see it
auteur serve                           the same for programs, over HTTP
auteur verify out.mp4                  what marks a file carries

VERB --help lists its options. --debug shows the traceback of an error, --version the version.
Shell completion: auteur --tyro-print-completion bash (or zsh, fish)."""
