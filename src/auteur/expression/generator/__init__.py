"""Paper B: an emotion, how strong and how long → a trajectory of expression vectors that can be edited."""
