"""Frames decoded in a second thread while earlier ones are measured."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

_POLL_SEC = 0.1


def prefetched(items: Iterable[Item], *, ahead: int = 4) -> Generator[Item]:
    """Yields the same items in the same order, made up to `ahead` of them early by a second thread.

    An error in making one is raised where that item would have come. When the consumer stops early the thread
    stops, too, before this generator is closed.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def hand_over(item: Item | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return made.put((item, error), timeout=_POLL_SEC)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                hand_over(item, None)
                if stopped.is_set():
                    return
            hand_over(None, StopIteration())
        except BaseException as error:  # any error is raised in the consumer
            hand_over(None, error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]  # only an error comes without an item
    finally:
        stopped.set()
        thread.join()
