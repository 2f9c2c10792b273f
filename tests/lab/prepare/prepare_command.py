"""`auteur`, but every recording that a worker begins is noted in the file that BEGUN names."""

import os
import sys
from pathlib import Path

from auteur.lab.prepare.task import Done, Item, Preparer

_finish = Preparer.finish


def _noted(self: Preparer, item: Item) -> Done:
    with Path(os.environ["BEGUN"]).open("a") as begun:
        begun.write(f"{item.recording.key}\n")
    return _finish(self, item)


Preparer.finish = _noted  # workers import this module, so it holds in them too

if __name__ == "__main__":
    from auteur.cli import main

    sys.exit(main(sys.argv[1:]))
