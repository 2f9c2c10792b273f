"""Makes a portrait, a recording as MP3 and M4A, and a film from what the source tree holds."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

SECONDS = 2


def main(root: Path, place: Path) -> None:
    """Writes me.jpg, talk.mp3, talk.m4a and film.mp4 into `place`."""
    # One face of the demo's contact sheet; the photograph behind it is NASA's, in the public domain.
    sheet = Image.open(root / "docs" / "demo.jpg").convert("RGB")
    side = sheet.height
    face = sheet.crop((0, 0, side, side)).resize((2 * side, 2 * side), Image.Resampling.LANCZOS)
    face.save(place / "me.jpg", quality=95)
    samples, rate_hz = soundfile.read(root / "examples" / "speech.flac", dtype="float32")
    speech = samples[: SECONDS * rate_hz]
    write_sound(place / "talk.mp3", "libmp3lame", speech, rate_hz)
    write_sound(place / "talk.m4a", "aac", speech, rate_hz)
    write_film(place / "film.mp4", np.asarray(face))


def write_sound(path: Path, codec: str, samples: np.ndarray, rate_hz: int) -> None:
    """Encodes mono float32 [S]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        resampler = av.AudioResampler(stream.format.name, "mono", rate_hz)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode())


def write_film(path: Path, face: np.ndarray) -> None:
    """Encodes a second in which the picture drifts, as a phone would: H.264 in MP4, no mark."""
    height, width = (side // 2 * 2 - 32 for side in face.shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(25):
            shown = np.ascontiguousarray(face[index // 2 : index // 2 + height, index : index + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
