"""The laboratory: from corpora on disk to shards to trained weights. The product never imports it."""
