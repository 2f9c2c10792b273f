"""Speech analysis: features, articulation, loudness, pitch. Imported on use; needs torch."""
