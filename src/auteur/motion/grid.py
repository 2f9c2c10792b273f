"""The grid that motion lives on."""

from fractions import Fraction

MOTION_RATE = Fraction(25)
"""Frames per second that the motion models are trained at."""
