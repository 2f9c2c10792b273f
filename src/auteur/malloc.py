"""Settings of glibc's memory allocator between the stages of a long run, and within them."""

import ctypes
import sys
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of settings in glibc's malloc.h."""
_KEPT_BYTES, _LARGEST_KEPT_BYTES = 128 << 20, 32 << 20


def trim_heap() -> None:
    """Has glibc return what is free inside its heap; elsewhere allocators do so themselves.

    Analysis of long speech frees megabytes between objects that stay. Without this they count as used while
    the frames are rendered, and peak memory grows with the length.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_freed_memory() -> None:
    """Has glibc keep up to 128 MB that come free, for the rest of the process.

    Every frame needs the same large buffers again. Requested from the system each time, they come with pages
    to be cleared, which took a quarter of the time of a warp.
    """
    set_option = _of_glibc("mallopt")
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)


def _of_glibc(name: str) -> Any:
    """A function of the C library; None where it has none of that name, as musl."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
