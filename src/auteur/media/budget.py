"""Limits of inputs: checked from the header first, and again while decoding, because headers may be wrong."""

from dataclasses import dataclass
from fractions import Fraction

from auteur.errors import MediaError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of one input. Beyond them a file is refused and the limit named."""

    max_file_bytes: int = 8_000_000_000
    max_image_pixels: int = 110_000_000
    """Width times height of a still picture; phones take up to 108 megapixels."""
    max_frame_pixels: int = 16_777_216
    """Width times height of a video frame."""
    max_side_px: int = 16_384
    """Either side of a picture or frame."""
    max_duration_sec: int = 3600
    max_frames: int = 432_000
    """One hour at 120 frames/s."""
    max_frame_rate: int = 240
    """Frames per second."""
    max_channels: int = 8
    max_audio_values: int = 400_000_000
    """Samples times channels that `read_audio` holds in memory; `read_speech` streams instead."""
    max_streams: int = 16

    def check_bytes(self, name: str, size: int) -> None:
        """Refuses empty files and files that are too large."""
        if size == 0:
            raise MediaError(f"{name} is empty (0 bytes); choose another file")
        _check(name, "file size", size, self.max_file_bytes, "bytes", "choose a smaller file")

    def check_image(self, name: str, width_px: int, height_px: int) -> None:
        """Refuses still pictures that are too large."""
        self._check_size(name, width_px, height_px, self.max_image_pixels)

    def check_frame(self, name: str, width_px: int, height_px: int) -> None:
        """Refuses video frames that are too large."""
        self._check_size(name, width_px, height_px, self.max_frame_pixels)

    def check_duration(self, name: str, duration_sec: Fraction) -> None:
        """Refuses recordings that are too long."""
        _check(name, "duration", float(duration_sec), self.max_duration_sec, "s", "cut it into parts")

    def check_frames(self, name: str, frames: int) -> None:
        """Refuses videos of too many frames."""
        _check(name, "frame count", frames, self.max_frames, "frames", "cut it into parts")

    def check_frame_rate(self, name: str, rate: Fraction) -> None:
        """Refuses frame rates that are too high."""
        _check(name, "frame rate", float(rate), self.max_frame_rate, "frames/s", "convert it to a lower rate")

    def check_channels(self, name: str, channels: int) -> None:
        """Refuses sound of too many channels."""
        _check(name, "channel count", channels, self.max_channels, "channels", "mix it down first")

    def check_streams(self, name: str, streams: int) -> None:
        """Refuses containers of too many streams."""
        _check(
            name,
            "stream count",
            streams,
            self.max_streams,
            "streams",
            "extract one video and one sound stream",
        )

    def check_audio_values(self, name: str, values: int) -> None:
        """Refuses sound too large to be held in memory."""
        _check(
            name,
            "sample count",
            values,
            self.max_audio_values,
            "samples over all channels",
            "cut it into parts",
        )

    def _check_size(self, name: str, width_px: int, height_px: int, max_pixels: int) -> None:
        if max(width_px, height_px) > self.max_side_px or width_px * height_px > max_pixels:
            raise MediaError(
                f"{name} is {width_px}x{height_px} pixels; at most {max_pixels / 1e6:g} megapixels and "
                f"{self.max_side_px} pixels a side are read; make it smaller first"
            )


DEFAULT_BUDGET = Budget()


def _check(name: str, quantity: str, value: float, limit: float, unit: str, advice: str) -> None:
    if value > limit:
        raise MediaError(
            f"{name} has a {quantity} of {value:.12g} {unit}; at most {limit} {unit} are read; {advice}"
        )
