"""Material that tests make: footage of a portrait that moves, and corpora in the layout of the real ones."""
