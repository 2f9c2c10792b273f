"""Plots as inline SVG, and pictures and videos as data: nothing on the page is fetched."""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

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
_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/mp4"}


def jpeg_uri(picture: Picture, quality: int = 82) -> str:
    """Returns a picture [H, W, 3] as a data URI."""
    jpeg = jpeg_bytes(picture, mark=Mark(), quality=quality)
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

    def video(self, path: Path) -> str:
        """Returns a player, or a link where the browser knows no such file."""
        kind = _KINDS.get(path.suffix.lower())
        link = escape(Path(os.path.relpath(path, self._folder)).as_posix(), quote=True)
        if kind is None:
            return f'<a href="{link}">{escape(path.name)}</a>'
        size = path.stat().st_size
        source = link
        if size <= min(SMALL_VIDEO_BYTES, self._left):
            self._left -= size
            source = f"data:{kind};base64," + base64.b64encode(path.read_bytes()).decode()
        return f'<video controls preload="metadata" playsinline src="{source}"></video>'


def interval_plot(estimates: Mapping[str, Estimate], colours: Mapping[str, str]) -> str:
    """Returns a strip with each system's mean and interval as SVG."""
    shown = {name: e for name, e in estimates.items() if math.isfinite(e.mean)}
    ends = [v for e in shown.values() for v in (e.mean, e.low, e.high) if math.isfinite(v)]
    if not ends:
        return ""
    low, high = min(ends), max(ends)
    room = (high - low) * 0.06 or 1.0
    low, high = low - room, high + room

    def x(value: float) -> float:
        return 4 + 212 * (value - low) / (high - low)

    parts = [f'<svg class="strip" viewBox="0 0 220 {9 * len(shown) + 4}" role="img">']
    for row, (name, e) in enumerate(shown.items()):
        y, colour = 7 + 9 * row, colours[name]
        if math.isfinite(e.low):
            parts.append(
                f'<line x1="{x(e.low):.1f}" x2="{x(e.high):.1f}" y1="{y}" y2="{y}" '
                f'stroke="{colour}" stroke-width="2"/>'
            )
        parts.append(f'<circle cx="{x(e.mean):.1f}" cy="{y}" r="3.2" fill="{colour}"/>')
        parts[-1] = parts[-1].replace("/>", f"><title>{escape(name)}</title></circle>")
    return "".join([*parts, "</svg>"])


def line_plot(lines: Mapping[str, Floats], colours: Mapping[str, str], *, rate: float, unit: str) -> str:
    """Returns curves over time as SVG; NaN breaks a line."""
    values = np.concatenate([line for line in lines.values() if len(line)])
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max()) or 1.0
    high = high if high > low else low + 1
    longest = max(len(line) for line in lines.values())
    parts = ['<svg class="curve" viewBox="0 0 720 150" role="img">']
    for name, line in lines.items():
        points: list[str] = []
        pen = "M"
        for i, value in enumerate(line):
            if not np.isfinite(value):
                pen = "M"
                continue
            points.append(
                f"{pen}{36 + 676 * i / max(1, longest - 1):.1f} "
                f"{130 - 118 * (value - low) / (high - low):.1f}"
            )
            pen = "L"
        parts.append(
            f'<path d="{"".join(points)}" fill="none" stroke="{colours[name]}" stroke-width="1.4">'
            f"<title>{escape(name)}</title></path>"
        )
    parts.append(f'<text x="2" y="14">{high:.1f}</text><text x="2" y="132">{low:.1f}</text>')
    parts.append(
        f'<text x="36" y="146">0 s</text>'
        f'<text x="712" y="146" text-anchor="end">{longest / rate:.1f} s</text>'
    )
    parts.append(f'<text x="2" y="74">{escape(unit)}</text></svg>')
    return "".join(parts)
