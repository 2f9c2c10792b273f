"""Copies a trained weights file into the package and records its hash.

    python -m auteur.lab.train.release_weights landmarker RUN/landmarker.safetensors

Write the figures that belong to it into the card `weights/NAME.md` in the same commit.
"""

import hashlib
import json
from pathlib import Path

import tyro

from auteur import weights

LARGEST_BYTES = 40_000_000
"""Limit of all shipped weights together."""


def release_weights(name: tyro.conf.Positional[str], file: tyro.conf.Positional[Path]) -> str:
    """Copies `file` to the weights of the package as `name` and returns its SHA-256.

    Args:
        name: Name of the weights in code.
        file: A safetensors file that a recipe wrote.

    Raises:
        ValueError: All weights together would be larger than 40 MB.
    """
    folder = Path(weights.__file__).parent
    content = file.read_bytes()
    others = sum(p.stat().st_size for p in folder.glob("*.safetensors") if p.stem != name)
    if others + len(content) > LARGEST_BYTES:
        total = others + len(content)
        raise ValueError(f"all weights together would have {total} bytes; at most {LARGEST_BYTES} ship")
    (folder / f"{name}.safetensors").write_bytes(content)
    index_path = folder / "index.json"
    index = json.loads(index_path.read_text(encoding="utf-8")) if index_path.exists() else {}
    index[name] = hashlib.sha256(content).hexdigest()
    index_path.write_text(json.dumps(dict(sorted(index.items())), indent=2) + "\n", encoding="utf-8")
    return index[name]


if __name__ == "__main__":
    tyro.cli(release_weights)
