"""Writes the report's files, each whole or not at all."""

from pathlib import Path

from auteur.evaluate.evaluation import Evaluation
from auteur.evaluate.report import tables
from auteur.evaluate.report.page import html_page
from auteur.files import make_folder, write_text

REPORT_FILES = ("report.html", "report.json", "summary.csv", "clips.csv")


def write_report(evaluation: Evaluation, folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Writes report.html, report.json, summary.csv and clips.csv; returns their paths.

    Raises:
        InputError: As `auteur.files.check_folder`.
    """
    make_folder(folder, overwrite=overwrite, names=REPORT_FILES)
    texts = (
        html_page(evaluation, folder),
        tables.as_json(evaluation),
        tables.summary_csv(evaluation),
        tables.clips_csv(evaluation),
    )
    paths = tuple(folder / name for name in REPORT_FILES)
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text, overwrite=overwrite)
    return paths
