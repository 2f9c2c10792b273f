"""Plots of the Action Units of a track over time."""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auteur import provenance
from auteur.errors import UsageError
from auteur.facs import ACTION_UNITS, CONVENTIONS
from auteur.formats import read_au_track
from auteur.media import check_marked, write_image
from auteur.signals import AUTrack

if TYPE_CHECKING:  # it is optional, and slow to import
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

ROW_HEIGHT_INCH = 0.42
WIDTH_INCH = 10.0
DOTS_PER_INCH = 110
_SHOWN_FROM = 0.05
"""Units that stay below this are left out of a performance's plot."""


def plot_track(table: Path, out: Path, *, overwrite: bool = False) -> None:
    """Draws the Action Units of a table that `auteur track` wrote into a PNG.

    Raises:
        UsageError: Matplotlib is not installed, or `out` does not end in .png.
        FormatError: The table holds no Action Units.
        InputError: `out` cannot be written.
    """
    check_plot(out, overwrite=overwrite)
    picture = draw_track(read_au_track(table))
    mark = provenance.Mark(
        inputs={"track": provenance.hash_file(table)}, settings={"plot": "action units"}, watermark=False
    )
    write_image(out, picture, mark=mark, overwrite=overwrite)


def check_plot(out: Path, *, overwrite: bool = False) -> None:
    """Raises early what `plot_track` would raise for `out`.

    Raises:
        UsageError: `out` does not end in .png, or Matplotlib is not installed.
        InputError: `out` cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"the plot {str(out)!r} must end in .png")
    check_marked(out, overwrite=overwrite)
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need Matplotlib: pip install 'auteur-face[plot]'")


def plot_performance(
    requested: AUTrack | None, done: AUTrack, out: Path, *, mark: provenance.Mark, overwrite: bool = False
) -> None:
    """Draws the requested against the rendered Action Units into a PNG.

    Args:
        requested: Requested, convention "facs"; None for nothing.
        done: Rendered, convention "facs".
        out: The PNG to write.
        mark: How the video was made.
        overwrite: Whether `out` may be replaced.

    Raises:
        UsageError: Matplotlib is not installed, or `out` does not end in .png.
        InputError: `out` cannot be written.
    """
    check_plot(out, overwrite=overwrite)
    picture = draw_performance(requested, done)
    write_image(out, picture, mark=replace(mark, watermark=False), overwrite=overwrite)


def draw_performance(requested: AUTrack | None, done: AUTrack) -> NDArray[np.uint8]:
    """Returns a picture [H, W, 3]: a row per requested or rendered unit, sides together where equal."""
    figure_class, canvas_class = _matplotlib()
    rows = _performance_rows(requested, done)
    figure = figure_class(
        (WIDTH_INCH, 1.1 + ROW_HEIGHT_INCH * len(rows)), DOTS_PER_INCH, layout="constrained"
    )
    canvas = canvas_class(figure)
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (label, wanted, seen) in zip(axes, rows, strict=True):
        axis.fill_between(done.times_sec, seen, color="#3b6ea5", alpha=0.35, linewidth=0, label="rendered")
        if requested is not None and wanted is not None and wanted.any():
            axis.plot(requested.times_sec, wanted, color="#b3402a", linewidth=1.1, label="requested")
        axis.set_ylim(0, 1.05)
        axis.set_yticks([])
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        axis.spines[["top", "right", "left"]].set_visible(False)
    axes[-1].set_xlabel("seconds")
    figure.suptitle("Action Units: requested (red line) and rendered (blue), 0 to 1", fontsize=10)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _performance_rows(
    requested: AUTrack | None, done: AUTrack
) -> list[tuple[str, NDArray[np.floating] | None, NDArray[np.floating]]]:
    rows: list[tuple[str, NDArray[np.floating] | None, NDArray[np.floating]]] = []
    for unit in ACTION_UNITS.values():
        seen = {name: done.channel(name) for name in unit.controls}
        wanted = {
            name: requested.channel(name)
            for name in unit.controls
            if requested is not None and name in requested.channels
        }
        shown = max(float(values.max()) for values in [*seen.values(), *wanted.values()])
        if shown < _SHOWN_FROM:
            continue
        requests = list(wanted.values())
        if all(np.array_equal(requests[0], other) for other in requests[1:]):
            both = np.mean(list(seen.values()), axis=0)
            rows.append((_label(unit.code), requests[0] if requests else None, both))
        else:
            rows += [(_label(name), wanted.get(name), seen[name]) for name in unit.controls]
    return rows or [("nothing", None, np.zeros(done.frames))]


def draw_track(track: AUTrack) -> NDArray[np.uint8]:
    """Returns a picture [H, W, 3] with one row per channel, time in seconds along x."""
    figure_class, canvas_class = _matplotlib()
    convention = CONVENTIONS[track.convention]
    figure = figure_class(
        (WIDTH_INCH, 0.8 + ROW_HEIGHT_INCH * len(track.channels)), DOTS_PER_INCH, layout="constrained"
    )
    canvas = canvas_class(figure)
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


def _matplotlib() -> "tuple[type[Figure], type[FigureCanvasAgg]]":
    """Matplotlib's figure and the canvas that draws into memory.

    The variable MPLBACKEND, which names a canvas for windows, ends the import if it names none that exists;
    no window is opened here.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    return Figure, FigureCanvasAgg


def _label(channel: str) -> str:
    number = channel.removeprefix("AU").split("_")[0].lstrip("0").rstrip("LRTB")
    side = {"L": ", left", "R": ", right"}.get(channel[-1], "")
    if channel.startswith("AU") and number.isdigit() and int(number) in ACTION_UNITS:
        return f"AU{number} {ACTION_UNITS[int(number)].name}{side}"
    return channel
