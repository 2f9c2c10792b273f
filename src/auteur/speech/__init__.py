"""What a voice says to a face: features, articulation, loudness, pitch. Imported on use; needs torch."""
