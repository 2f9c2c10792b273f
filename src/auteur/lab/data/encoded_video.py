"""Recordings as H.264 that comes out the same everywhere, in memory.

`media.VideoWriter` is not for this: it marks what it writes as made by a model, and these are recordings of
people.
"""

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def encode_video(pictures: Iterable[Picture], *, rate: Fraction, crf: int) -> bytes:
    """Returns an MP4 (H.264, 4:2:0, BT.709) of uint8 RGB [H, W, 3] pictures with even sides.

    Same pictures, same bytes: one thread, since the bytes of x264 depend on how many there are; and without
    its macroblock tree, whose choices differed from call to call at 96, 112, 160 and 192 px.
    """
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = None
        for number, picture in enumerate(pictures):
            if stream is None:
                settings = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
                stream = container.add_stream("libx264", rate=rate, options=settings)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                context = stream.codec_context
                context.thread_count, context.time_base = 1, 1 / rate
                context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
                context.color_range = 1  # limited
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return out.getvalue()


def decode_video(data: bytes) -> NDArray[np.uint8]:
    """Returns the pictures [T, H, W, 3] of a video that `encode_video` made."""
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        frames = [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in container.decode(video=0)]
    return np.stack(frames)
