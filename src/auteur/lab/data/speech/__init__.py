"""Speech whose phones are known: synthetic voices, forced alignment, and the files that hold both."""
