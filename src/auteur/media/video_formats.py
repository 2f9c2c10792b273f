"""The kinds of video that are written, by the ending of the name, and how each is encoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auteur.errors import UsageError

QUALITIES: Mapping[str, int] = {"low": 28, "medium": 23, "high": 18, "best": 12}
"""H.264 constant rate factor of each quality; each step about doubles the size of the file."""

_WORST_CRF = 51
_OPAQUE_PICTURES = {"preset": "veryfast", "x264-params": "mbtree=0"}
# With its macroblock tree, x264 writes the same frames differently from run to run at some sizes.


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How pictures are encoded."""

    name: str
    """FFmpeg's name of the encoder."""
    pixel_format: str
    options: Mapping[str, str]
    crf_offset: int | None = 0
    """Offset to an H.264 rate factor for about the same quality; None: the encoder has no factor."""

    def options_at(self, quality_crf: int) -> dict[str, str]:
        """Returns the encoder's options for a quality on H.264's scale, 0 to 51."""
        if self.crf_offset is None:
            return dict(self.options)
        return {**self.options, "crf": str(quality_crf + self.crf_offset)}


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """One kind of video file."""

    opaque: Codec
    transparent: Codec | None
    """None: the kind has no transparency."""
    sound: str
    """FFmpeg's name of the sound encoder."""
    sound_of_transparent: str
    sound_rates_hz: tuple[int, ...]
    """Sample rates of the sound encoder; any other becomes 48 kHz."""
    container_options: Mapping[str, str]


_H264 = Codec(name="libx264", pixel_format="yuv420p", options=_OPAQUE_PICTURES)
_PRORES_4444 = Codec(
    name="prores_ks",
    pixel_format="yuva444p10le",
    options={"profile": "4444", "alpha_bits": "16"},
    crf_offset=None,
)
_VP9_OPTIONS = {"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"}
_VP9_OFFSET = 10
_AAC_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)

VIDEO_FORMATS: Mapping[str, VideoFormat] = {
    ".mp4": VideoFormat(
        opaque=_H264,
        transparent=None,
        sound="aac",
        sound_of_transparent="aac",
        sound_rates_hz=_AAC_RATES_HZ,
        container_options={"movflags": "faststart"},
    ),
    ".mov": VideoFormat(
        opaque=_H264,
        transparent=_PRORES_4444,
        sound="aac",
        sound_of_transparent="pcm_s16le",
        sound_rates_hz=_AAC_RATES_HZ,
        container_options={"movflags": "faststart"},
    ),
    ".webm": VideoFormat(
        opaque=Codec(name="libvpx-vp9", pixel_format="yuv420p", options=_VP9_OPTIONS, crf_offset=_VP9_OFFSET),
        transparent=Codec(
            name="libvpx-vp9", pixel_format="yuva420p", options=_VP9_OPTIONS, crf_offset=_VP9_OFFSET
        ),
        sound="libopus",
        sound_of_transparent="libopus",
        sound_rates_hz=_OPUS_RATES_HZ,
        container_options={"fflags": "+bitexact"},  # else each file has an identifier of its own
    ),
}
"""By the ending of the name."""


def format_of(path: Path, *, is_transparent: bool) -> VideoFormat:
    """Returns the kind of video of a name, by its ending.

    Raises:
        UsageError: The ending names none, or one without transparency where that is needed.
    """
    kind = VIDEO_FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path.name!r} does not end in one of {', '.join(VIDEO_FORMATS)}")
    if is_transparent and kind.transparent is None:
        raise UsageError(
            f"{path.suffix} has no transparency; choose .webm (VP9), .mov (ProRes 4444), or a folder of PNGs"
        )
    return kind


def check_crf(quality_crf: int) -> int:
    """Returns a rate factor on H.264's scale.

    Raises:
        UsageError: It is outside 0 to 51.
    """
    if not 0 <= quality_crf <= _WORST_CRF:
        raise UsageError(f"quality_crf is {quality_crf}; it must be 0 (lossless) to {_WORST_CRF} (worst)")
    return quality_crf
