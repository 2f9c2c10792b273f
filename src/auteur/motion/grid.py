"""The motion grid: 25 frames per second from time 0."""

from fractions import Fraction

MOTION_RATE = Fraction(25)
"""Frames per second that the motion models are trained at."""
