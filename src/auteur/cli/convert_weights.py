"""Published weights as a folder for --preset: the part of `auteur convert` that takes folders."""

import json as json_text
from pathlib import Path

from auteur.cli.console import note, progress


def convert_weights(source: Path, out: Path, *, json: bool) -> int:
    """Converts a checkpoint of AniPortrait, Hallo or MEMO, and returns the exit code.

    Args:
        source: The folder that the weights were downloaded to.
        out: The folder to make.
        json: Whether to end with one JSON object on standard output.

    Raises:
        InputError: A file is missing, damaged or does not fit, or the folder cannot be made.
    """
    from auteur.synthesis.published.convert import convert_checkpoint  # takes torch
    from auteur.synthesis.published.folder import read_description

    with progress("converting", None, unit="tensor") as advance:
        folder = convert_checkpoint(source, out, on_tensor=lambda done, _: advance(done))
    description = read_description(folder)
    for line in (*description["notes"], *(f"terms: {one}" for one in description["licences"])):
        note(line)
    result = {"output": str(folder), "model": description["model"], "sha256": description["sha256"]}
    result |= {"notes": description["notes"], "licences": description["licences"]}
    print(json_text.dumps(result) if json else f"{folder}: {description['model']}")
    return 0
