"""What tests do with the page: files, lanes, keys."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from auteur.media import write_audio
from auteur.provenance import Mark
from auteur.signals import Waveform

RATE_HZ = 16_000


def tone(seconds: float, path: Path) -> Path:
    """Writes syllables of a hummed note: half of each quarter of a second is silent."""
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 140 * n * times) / n for n in range(1, 12))
    samples = (0.2 * voice * np.clip(np.sin(2 * np.pi * 4 * times), 0, 1)).astype(np.float32)
    write_audio(path, Waveform(samples=samples, rate_hz=RATE_HZ), mark=Mark(watermark=False))
    return path


def choose(page: Any, place: str, *files: Path) -> None:
    """Chooses files in the dialog that a button opens."""
    with page.expect_file_chooser() as chooser:
        page.click(place)
    chooser.value.set_files([str(file) for file in files])


def drop(page: Any, place: str, file: Path, kind: str) -> None:
    """Drops a file on an element, as a browser does."""
    content = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(
        """([place, name, kind, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: kind }));
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            const target = document.querySelector(place);
            for (const event of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(new DragEvent(event, options));
        }""",
        [place, file.name, kind, content],
    )


class Lane:
    """A lane on the page, in seconds of a timeline that is shown whole and shares of its height."""

    def __init__(self, page: Any, name: str, seconds: float = 2.0) -> None:
        self.page, self.name, self.seconds = page, name, seconds
        self.element = page.locator(f"[data-lane='{name}']")

    def place(self, t: float, height: float) -> tuple[float, float]:
        """Where a time and a value between 0 (below) and 1 (above) lie on the screen."""
        self.element.scroll_into_view_if_needed()
        box = self.element.bounding_box()
        width, margin = box["width"], 10
        x = box["x"] + margin + t / self.seconds * (width - 2 * margin)
        return x, box["y"] + 6 + (1 - height) * (box["height"] - 12)

    def add(self, t: float, height: float) -> None:
        self.page.mouse.dblclick(*self.place(t, height))

    def drag(self, start: tuple[float, float], *stops: tuple[float, float]) -> None:
        self.page.mouse.move(*self.place(*start))
        self.page.mouse.down()
        for stop in stops:
            self.page.mouse.move(*self.place(*stop), steps=4)
        self.page.mouse.up()

    @property
    def keys(self) -> list[tuple[float, float]]:
        """Keyframes, as the page keeps them for a reload."""
        kind, name = self.name.split(":")
        score = saved(self.page)["score"]
        if kind == "emotion":
            order = ("happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt")
            return [(key["t"], key["s"][order.index(name)]) for key in score["emotions"]]
        return [(key["t"], key["v"]) for key in score["lanes"].get(self.name, [])]


def saved(page: Any) -> dict[str, Any]:
    """The project as the page keeps it; it does so a moment after each change."""
    page.wait_for_timeout(550)
    return json.loads(page.evaluate("sessionStorage.getItem('auteur-studio')"))


def open_group(page: Any, group: str) -> None:
    page.click(f"[data-group-name='{group}'][aria-expanded='false']")


def preview_of(request: Any) -> dict[str, Any]:
    """The body of a request for a preview; nothing of any other request."""
    return json.loads(request.post_data) if request.url.endswith("/v1/preview") else {}


def durations_ms(page: Any, quality: str = "small") -> list[float]:
    """From a change to its preview, for every preview so far."""
    return page.evaluate(f"performance.getEntriesByName('preview-{quality}').map((one) => one.duration)")


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Waits until something holds; the driver's own way compiles text in the page, which its rules forbid."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.1)
