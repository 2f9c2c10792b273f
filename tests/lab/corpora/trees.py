"""Trees of empty files: listing a corpus reads names only."""

from pathlib import Path


def grow(root: Path, *names: str) -> Path:
    """Makes empty files below `root` and returns it."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root
