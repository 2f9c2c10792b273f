"""Curves over time and contact sheets, for the user who would rather look."""
