"""Stage 2, how the face moves: speech and Action Units in, displacement of a face mesh out (paper C)."""
