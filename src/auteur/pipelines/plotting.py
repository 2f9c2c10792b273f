"""Curves that one would rather look at: the Action Units of a track over time."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur import provenance
from auteur.errors import UsageError
from auteur.facs import ACTION_UNITS, CONVENTIONS
from auteur.files import check_writable
from auteur.formats import read_au_track
from auteur.media import write_image
from auteur.signals import AUTrack

ROW_HEIGHT_INCH = 0.42
WIDTH_INCH = 10.0
DOTS_PER_INCH = 110


def plot_track(table: Path, out: Path, *, overwrite: bool = False) -> None:
    """Draws the Action Units of a table that `auteur track` wrote into a PNG.

    Raises:
        UsageError: Matplotlib is not installed, or `out` does not end in .png.
        FormatError: The table holds no Action Units.
        InputError: `out` cannot be written.
    """
    check_plot(out, overwrite=overwrite)
    picture = draw_track(read_au_track(table))
    mark = provenance.Mark(inputs={"track": provenance.hash_file(table)}, settings={"plot": "action units"})
    write_image(out, picture, mark=mark, overwrite=overwrite)


def check_plot(out: Path, *, overwrite: bool = False) -> None:
    """Says what `plot_track` would say of `out`, before an hour of tracking.

    Raises:
        UsageError: Matplotlib is not installed, or `out` does not end in .png.
        InputError: `out` cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need Matplotlib: pip install 'auteur-face[plot]'")
    if out.suffix.lower() != ".png":
        raise UsageError(f"the plot {str(out)!r} must end in .png")
    check_writable(out, overwrite=overwrite)


def draw_track(track: AUTrack) -> NDArray[np.uint8]:
    """Returns a picture [H, W, 3] with one row per channel, time in seconds along x."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    convention = CONVENTIONS[track.convention]
    figure = Figure(
        (WIDTH_INCH, 0.8 + ROW_HEIGHT_INCH * len(track.channels)), DOTS_PER_INCH, layout="constrained"
    )
    canvas = FigureCanvasAgg(figure)
    rows = figure.subplots(len(track.channels), 1, sharex=True, squeeze=False)[:, 0]
    for row, name, values in zip(rows, track.channels, track.values.T, strict=True):
        row.fill_between(track.times_sec, values, color="#3b6ea5", alpha=0.35, linewidth=0)
        row.plot(track.times_sec, values, color="#1f3d5c", linewidth=0.9)
        row.set_ylim(0, convention.maximum)
        row.set_yticks([])
        row.set_ylabel(_label(name), rotation=0, ha="right", va="center", fontsize=8)
        row.spines[["top", "right", "left"]].set_visible(False)
    rows[-1].set_xlabel("seconds")
    figure.suptitle(f"Action Units, {track.convention}, 0 to {convention.maximum:g}", fontsize=10)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _label(channel: str) -> str:
    number = channel.removeprefix("AU").split("_")[0].lstrip("0")
    if channel.startswith("AU") and number.isdigit() and int(number) in ACTION_UNITS:
        return f"AU{number} {ACTION_UNITS[int(number)].name}"
    return channel
