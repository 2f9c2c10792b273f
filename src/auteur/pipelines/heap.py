"""Hands freed memory back between the stages of a long run."""

import ctypes
import sys


def give_back() -> None:
    """Has glibc return what is free inside its heap; elsewhere allocators do so themselves.

    Analysis of long speech frees megabytes between objects that stay. Without this they count as used while
    the frames are rendered, and peak memory grows with the length.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
