"""Coordinates of plots, and pictures and videos as data: nothing on the page is fetched."""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.evaluate.statistics import Estimate
from auteur.media import jpeg_bytes, resized
from auteur.provenance import Mark

Picture = NDArray[np.uint8]
Floats = NDArray[np.floating]

SMALL_VIDEO_BYTES = 1_500_000
"""Videos up to this size go into the page; larger ones are linked by their relative path."""

ALL_VIDEO_BYTES = 24_000_000
"""No more than this goes into one page."""

COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8e5ea2", "#e08e0b", "#5f6b6d", "#00818a", "#a0522d")
_JPEG_QUALITY = 82
_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/mp4"}


def jpeg_uri(picture: Picture) -> str:
    """Returns a picture [H, W, 3] as a data URI."""
    jpeg = jpeg_bytes(picture, mark=Mark(watermark=False), quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def contact_sheet(rows: Sequence[Sequence[Picture]], side_px: int = 128) -> Picture:
    """Returns rows of pictures, scaled to squares, as one picture; short rows are filled with white."""
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * side_px, columns * side_px, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            small = resized(picture, side_px, side_px)
            sheet[i * side_px : (i + 1) * side_px, j * side_px : (j + 1) * side_px] = small
    return sheet


class Players:
    """Videos for the page, inside it while they are small and there is room."""

    def __init__(self, page_folder: Path) -> None:
        self._folder, self._left = page_folder, ALL_VIDEO_BYTES

    def player(self, name: str, path: Path) -> dict[str, Any]:
        """Returns a player's values: its source is the video itself, or a link relative to the page."""
        kind = _KINDS.get(path.suffix.lower())
        source = Path(os.path.relpath(path, self._folder)).as_posix()
        size = path.stat().st_size
        if kind is not None and size <= min(SMALL_VIDEO_BYTES, self._left):
            self._left -= size
            source = f"data:{kind};base64," + base64.b64encode(path.read_bytes()).decode()
        return {"name": name, "file": path.name, "is_video": kind is not None, "source": source}


def interval_marks(estimates: Mapping[str, Estimate], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns where each system's mean and interval stand in a strip 220 wide, 9 apart."""
    shown = {name: e for name, e in estimates.items() if math.isfinite(e.mean)}
    ends = [v for e in shown.values() for v in (e.mean, e.low, e.high) if math.isfinite(v)]
    if not ends:
        return []
    low, high = min(ends), max(ends)
    room = (high - low) * 0.06 or 1.0
    low, high = low - room, high + room

    def x(value: float) -> str:
        return f"{4 + 212 * (value - low) / (high - low):.1f}"

    return [
        {
            "name": name,
            "colour": colours[name],
            "x": x(e.mean),
            "y": 7 + 9 * row,
            "ends": (x(e.low), x(e.high)) if math.isfinite(e.low) else None,
        }
        for row, (name, e) in enumerate(shown.items())
    ]


def line_plot(
    lines: Mapping[str, Floats], colours: Mapping[str, str], *, rate: float, unit: str
) -> dict[str, Any] | None:
    """Returns curves over time in a field of 720 by 150, or None where nothing was measured.

    Args:
        lines: Values [T] by name; NaN breaks a line.
        colours: One per name.
        rate: Values per second.
        unit: Written beside the vertical axis.
    """
    values = np.concatenate([line for line in lines.values() if len(line)])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max()) or 1.0
    high = high if high > low else low + 1
    longest = max(len(line) for line in lines.values())

    def path(line: Floats) -> str:
        points: list[str] = []
        pen = "M"
        for i, value in enumerate(line):
            if not np.isfinite(value):
                pen = "M"
                continue
            x, y = 36 + 676 * i / max(1, longest - 1), 130 - 118 * (value - low) / (high - low)
            points.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        return "".join(points)

    return {
        "lines": [
            {"name": name, "colour": colours[name], "path": path(line)} for name, line in lines.items()
        ],
        "low": f"{low:.1f}",
        "high": f"{high:.1f}",
        "seconds": f"{longest / rate:.1f}",
        "unit": unit,
    }
