"""Detection in files: pictures, videos, folders of frames."""

from pathlib import Path

from auteur.watermark.detection import FRAMES_AT_ONCE, MOST_FRAMES, WatermarkReading, detect

_EVERY = 4
"""Of a video every fourth frame is examined: neighbours show nearly the same."""


def read_watermark(path: Path | str) -> WatermarkReading:
    """Looks for the watermark of this tool in a picture, a video or a folder of frames (PNG).

    Of a video and a folder every fourth frame is examined, all of them where there are few, 96 at most. Sound
    carries no watermark: for a sound file nothing is found, and `problem` says why. Watermarks of other
    programs are not found.

    Raises:
        MediaError: The file is missing or damaged, or of a kind that Auteur does not read.
        WeightsError: The weights of the detector are missing or damaged.
    """
    # `media` writes watermarks and so imports this package; only this reader needs the other direction.
    from auteur.media import VideoReader, probe, read_image

    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.png"))
        return detect(read_image(file) for file in files[:: spacing(len(files))])
    info = probe(path)
    if info.kind == "image":
        return detect([read_image(path)])
    if info.kind == "audio":
        return WatermarkReading(found=False, frames_read=0, problem="sound carries no watermark")
    step = spacing(info.frames or MOST_FRAMES)
    with VideoReader(path) as video:
        return detect(frame.image for frame in video if frame.index % step == 0)


def spacing(frames: int) -> int:
    """Returns the number of frames from one that is examined to the next, of a video of so many."""
    return max(1, min(_EVERY, frames // FRAMES_AT_ONCE))
