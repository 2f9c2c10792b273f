"""What a command leaves out of its imports to start sooner."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_UNUSED = ("accelerate", "peft", "scipy", "transformers")
"""diffusers imports them where they are installed; its layers need none of them."""
_COMPILER = "torch._dynamo"
"""diffusers marks some classes for torch's compiler, and torch looks for it when layers are made on no
device; that imports all of it."""


@contextmanager
def only_layers_of_diffusers() -> Generator[None]:
    """Inside, diffusers comes without libraries that our denoiser does not use: a quarter of the time.

    For commands that do nothing else with diffusers, since it goes on taking these libraries for missing.
    Others find them as ever, once the block is left. What is already imported stays.
    """
    stand_ins: dict[str, ModuleType | None] = {
        name: None
        for name in _UNUSED
        if name not in sys.modules  # None: an import fails
    }
    if _COMPILER not in sys.modules:
        stand_ins[_COMPILER] = _no_compiler()
    sys.modules.update(stand_ins)  # pyright: ignore[reportArgumentType, reportCallIssue]  # None is allowed
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def _no_compiler() -> ModuleType:
    """What marks functions for the compiler, or takes them from it, and does nothing of the kind."""

    def unchanged(function: Any = None, *_: Any, **__: Any) -> Any:
        return unchanged if function is None else function

    module = ModuleType(_COMPILER)
    module.allow_in_graph = module.disable = unchanged  # pyright: ignore[reportAttributeAccessIssue]
    return module
