"""Training data of the recipes: footage, labels and samples."""
