"""What a task in a process of models has besides its request."""

import json
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

Message = dict[str, Any]

_MOST_MODELS = 2


class StoppedError(Exception):
    """The call that is worked on was cancelled."""


class Context:
    """What a task has besides its request: options, and the way back to its caller.

    Attributes:
        options: Preset, device and folder of the service.
    """

    def __init__(self, pipe: Connection, options: Message) -> None:
        self._pipe, self.options = pipe, options
        self.models: dict[Any, Any] = {}
        """Loaded models by name, kept between calls."""

    def tell(self, **event: Any) -> None:
        """Sends an event, and ends the task if it was cancelled.

        Raises:
            StoppedError: It was.
        """
        self._pipe.send_bytes(json.dumps({"kind": "event", **event}).encode())
        self.check()

    def check(self) -> None:
        """Ends the task if it was cancelled.

        Raises:
            StoppedError: It was.
        """
        if self._pipe.poll(0):
            self._pipe.recv_bytes()
            raise StoppedError

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """Returns the model of a key, loaded the first time; the oldest of over `_MOST_MODELS` go."""
        if key not in self.models:
            for old in list(self.models)[: max(0, len(self.models) - _MOST_MODELS + 1)]:
                del self.models[old]
            self.models[key] = make()
        return self.models[key]
