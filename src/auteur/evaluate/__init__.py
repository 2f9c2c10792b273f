"""Measures: pure functions with units, and the protocols that apply them."""
