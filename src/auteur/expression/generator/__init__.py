"""Paper B: emotion, strength and length → a trajectory of expression vectors that can be edited."""
