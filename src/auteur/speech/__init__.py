"""What a voice says to a face: features, phones, articulation, loudness and pitch. Imported on use; needs torch."""
