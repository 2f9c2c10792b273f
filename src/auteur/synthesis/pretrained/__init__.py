"""The papers' size: denoisers on published parts, read from local folders as their authors saved them."""
