"""`auteur convert IN OUT`: a file of one program becomes that of another."""

import json as json_text
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, Rate, check_readable, choice, options
from auteur.cli.console import counted, note
from auteur.cli.performance_arguments import CONVENTIONS
from auteur.errors import UsageError
from auteur.signals.timebase import parse_rate

KINDS = ("openface", "fex", "livelink", "arkit", "auteur")
"""Names of `auteur.formats.FILE_KINDS`, written out: importing them takes time."""

_JSON_KINDS = ("arkit", "auteur")
_SUFFIXES = (".csv", ".json")


@options
class ConvertArguments:
    """Options of `auteur convert`."""

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IN")]
    """A table or track of OpenFace, py-feat, Live Link Face, ARKit or Auteur; recognised by its content."""
    target: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="OUT")] = None
    """The file to write, .csv or .json."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """OUT, as other verbs take it."""
    to: Annotated[str | None, choice(*KINDS)] = None
    """Kind of OUT: openface, fex (py-feat) and livelink are .csv, arkit is .json, auteur either. Unless
    given, it follows from the name, such as take.livelink.csv; else auteur."""
    rate: Rate | None = None
    """Frames per second of OUT; those of IN unless given."""
    convention: Annotated[str | None, choice(*CONVENTIONS)] = None
    """Convention of OUT if its kind is auteur; that of IN unless given."""
    track_rate: Rate | None = None
    """Frames per second of IN where it does not state them: py-feat, Live Link at 29.97."""
    track_face: int | None = None
    """Which face of a table of several."""
    overwrite: Flag = False
    """Replace a file that exists."""
    json: Flag = False
    """End with one JSON object on standard output."""


def convert(arguments: ConvertArguments) -> int:
    """Turns a table of facial motion into that of another program, and names what is lost.

    Action Units, blend shapes, head pose and gaze are carried where both kinds have them. A folder with the
    published weights of AniPortrait, Hallo or MEMO becomes one for `auteur generate --preset`.

    Examples:
        auteur convert take.csv face.arkit.json
            a Live Link take for Blender and the web
        auteur convert tracked.csv take.livelink.csv --rate 60
            what `auteur track` measured, for Unreal's Live Link Face importer
        auteur convert openface.csv performance.csv --convention facs
            an OpenFace table as curves to edit and feed to `auteur generate --track`
        auteur convert downloaded_hallo -o hallo
            published weights as a preset: auteur generate me.jpg talk.wav --preset hallo
    """
    if (arguments.target is None) == (arguments.out is None):
        raise UsageError("name one file to write: auteur convert IN OUT, or -o OUT")
    out = arguments.target or arguments.out or Path()
    if arguments.source.is_dir():
        return convert_folder(arguments, out)
    return convert_table(arguments, out)


def convert_folder(arguments: ConvertArguments, out: Path) -> int:
    """Converts the published weights in a folder and prints what was written and under which terms."""
    names = ("to", "rate", "convention", "track_rate", "track_face", "overwrite")
    if useless := [name for name in names if getattr(arguments, name)]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in useless)
        raise UsageError(f"{options}: no effect on a folder of weights; leave it out")
    from auteur.cli.convert_weights import convert_weights

    return convert_weights(arguments.source, out, json=arguments.json)


def convert_table(arguments: ConvertArguments, out: Path) -> int:
    """Converts a table or track of facial motion and prints what was written and what is lost."""
    check_readable(arguments.source)
    kind = kind_of_output(out, arguments.to)
    rate = None if arguments.rate is None else parse_rate(arguments.rate, "--rate")
    track_rate = None if arguments.track_rate is None else parse_rate(arguments.track_rate, "--track-rate")

    from auteur.files import check_writable
    from auteur.formats import TrackReading, read_recorded, write_recorded
    from auteur.signals.timebase import exact_rate

    check_writable(out, overwrite=arguments.overwrite)
    recorded = read_recorded(arguments.source, TrackReading(rate=track_rate, face=arguments.track_face))
    losses = write_recorded(
        recorded,
        out,
        kind,
        convention=arguments.convention,
        rate=None if rate is None else exact_rate(rate),
        overwrite=arguments.overwrite,
    )
    notes = (*recorded.notes, *losses)
    for line in notes:
        note(line)
    frames = recorded.action_units.frames if rate is None else recorded.action_units.resample(rate).frames
    result = {
        "output": str(out),
        "kind": kind,
        "frames": frames,
        "fps": str(rate or recorded.action_units.rate),
        "notes": list(notes),
    }
    print(json_text.dumps(result) if arguments.json else f"{out}: {kind}, {counted(frames, 'frame')}")
    return 0


def kind_of_output(out: Path, to: str | None) -> str:
    """Returns the kind of a file to be written: as given, or by its name ("take.livelink.csv").

    Raises:
        UsageError: The name ends in neither .csv nor .json, or the kind has another ending.
    """
    named = out.with_suffix("").suffix.removeprefix(".").lower()
    kind = to or (named if named in KINDS else "auteur")
    if kind not in KINDS:
        raise UsageError(f"--to is {kind!r}; choose one of {', '.join(KINDS)}")
    suffix = out.suffix.lower()
    allowed = _SUFFIXES if kind == "auteur" else (".json",) if kind in _JSON_KINDS else (".csv",)
    if suffix not in allowed:
        raise UsageError(f"{kind} is written as {' or '.join(allowed)}, and {str(out)!r} ends in {suffix!r}")
    return kind
