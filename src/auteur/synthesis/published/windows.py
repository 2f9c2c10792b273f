"""Windows of frames that wrap around the end of a video (theirs: context.uniform)."""

from auteur.errors import UsageError


def wrapping_windows(frames: int, *, length: int = 16, overlap: int = 4) -> list[list[int]]:
    """Returns the numbers of the frames of each window.

    Every window has `length` frames; those at the end go on with the first frames of the video, as if it were
    a loop. A video that fits into one window is one.

    Args:
        frames: Of the video, 1 or more.
        length: Of a window.
        overlap: Frames that a window shares with the one before.

    Raises:
        UsageError: The overlap leaves nothing of a window.
    """
    if not 0 <= overlap < length or frames < 1:
        raise UsageError(f"windows of {length} frames that overlap by {overlap} do not cover {frames} frames")
    if frames <= length:
        return [list(range(frames))]
    return [
        [number % frames for number in range(first, first + length)]
        for first in range(0, frames, length - overlap)
    ]
