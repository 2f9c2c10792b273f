"""`python -m auteur.cli`."""

import sys

from auteur.cli import main

sys.exit(main())
