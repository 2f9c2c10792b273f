"""Writes the report's files, each whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

from auteur.errors import InputError
from auteur.evaluate.evaluation import Evaluation
from auteur.evaluate.report import figures
from auteur.evaluate.report.page import html_page
from auteur.files import check_writable, write_text

REPORT_FILES = ("report.html", "report.json", "summary.csv", "clips.csv")


def check_folder(folder: Path, *, overwrite: bool, names: Sequence[str] = REPORT_FILES) -> None:
    """Makes the folder and says early whether the report can be written into it.

    Raises:
        InputError: `folder` is a file, cannot be made, or holds a report and `overwrite` is false.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file; name a folder for the report")
    if not folder.parent.is_dir():
        raise InputError(f"the folder {str(folder.parent)!r} does not exist; create it first")
    folder.mkdir(exist_ok=True)
    for name in names:
        check_writable(folder / name, overwrite=overwrite)


def write_report(evaluation: Evaluation, folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Writes report.html, report.json, summary.csv and clips.csv; returns their paths.

    Raises:
        InputError: As `check_folder`.
    """
    check_folder(folder, overwrite=overwrite)
    texts = (
        html_page(evaluation, folder),
        figures.as_json(evaluation),
        figures.summary_csv(evaluation),
        figures.clips_csv(evaluation),
    )
    paths = tuple(folder / name for name in REPORT_FILES)
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text, overwrite=overwrite)
    return paths
