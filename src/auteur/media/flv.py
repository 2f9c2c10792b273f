"""Whether an FLV file is whole: FFmpeg ends quietly where one is cut."""

from typing import BinaryIO

from auteur.errors import MediaError

_TAG_KINDS = (8, 9, 18)
"""Sound, pictures, data."""
_HEAD_BYTES = 11
_SIZE_BYTES = 4
"""Behind every tag its size is written."""
_LONGEST_WALK = 2_000_000
"""Tags; an hour at 120 frames/s with sound has 600,000."""


def check_flv_whole(file: BinaryIO, size_bytes: int, name: str) -> None:
    """Refuses an FLV file that ends inside a tag. Other files pass; moves the file's position.

    Raises:
        MediaError: It is cut short, or made of too many tags.
    """
    file.seek(0)
    head = file.read(9)
    if head[:4] != b"FLV\x01" or _ends_with_a_tag(file, size_bytes):
        return
    place = int.from_bytes(head[5:9], "big") + _SIZE_BYTES
    for _ in range(_LONGEST_WALK):
        if place >= size_bytes:
            # Some writers leave the last tag's size out.
            if place - size_bytes in (0, _SIZE_BYTES):
                return
            break
        tag = _tag_at(file, place)
        if tag and not _is_kind(tag[0]):
            return  # Padding or damage, which the decoder sees.
        place += _HEAD_BYTES + int.from_bytes(tag[1:4], "big") + _SIZE_BYTES
    else:
        raise MediaError(f"{name} has more than {_LONGEST_WALK} tags; convert it to MP4")
    raise MediaError(f"{name} is cut short: it ends inside a frame; copy it again")


def _ends_with_a_tag(file: BinaryIO, size_bytes: int) -> bool:
    file.seek(max(size_bytes - _SIZE_BYTES, 0))
    last_bytes = int.from_bytes(file.read(_SIZE_BYTES), "big")
    place = size_bytes - _SIZE_BYTES - last_bytes
    if last_bytes < _HEAD_BYTES or place < 0:
        return False
    tag = _tag_at(file, place)
    return _is_kind(tag[0]) and int.from_bytes(tag[1:4], "big") + _HEAD_BYTES == last_bytes


def _tag_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read(_HEAD_BYTES)


def _is_kind(first: int) -> bool:
    return first & 0x1F in _TAG_KINDS
