# Optional: type checks must come out the same whether it is installed or not.
from typing import Any

def __getattr__(name: str) -> Any: ...
