"""Prefetching changes when items are made, never which ones arrive."""

import threading
from collections.abc import Iterator

import pytest

from auteur.prefetch import prefetched


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_same_items_in_the_same_order(count: int) -> None:
    assert list(prefetched(range(count), ahead=3)) == list(range(count))


def test_an_error_arrives_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the file ends here")

    seen: list[int] = []
    with pytest.raises(OSError, match="ends here"):
        seen.extend(prefetched(broken()))
    items = prefetched(broken())
    assert [next(items), next(items)] == [1, 2]


def test_stopping_early_ends_the_thread() -> None:
    items = prefetched(iter(range(10**9)), ahead=2)
    assert next(items) == 0
    items.close()
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
