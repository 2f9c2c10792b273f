"""Footage, labels and samples: what the recipes in `train` read."""
