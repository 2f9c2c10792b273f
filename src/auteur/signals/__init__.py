"""Immutable, typed time series that every other layer uses. NumPy only; imports nothing heavy."""

from auteur.signals.holes import BRIDGED_SEC, measured, unmeasured_frames, without_holes
from auteur.signals.sound import Sound
from auteur.signals.timebase import Seconds
from auteur.signals.track import FloatArray, Track
from auteur.signals.tracks import (
    AU_TABLE_MARK,
    POSE_CHANNELS,
    TRACK_KINDS,
    AUTrack,
    ExpressionTrack,
    GazeTrack,
    LandmarkTrack,
    PoseTrack,
    load_track,
)
from auteur.signals.waveform import Waveform

__all__ = [
    "AU_TABLE_MARK",
    "BRIDGED_SEC",
    "POSE_CHANNELS",
    "TRACK_KINDS",
    "AUTrack",
    "ExpressionTrack",
    "FloatArray",
    "GazeTrack",
    "LandmarkTrack",
    "PoseTrack",
    "Seconds",
    "Sound",
    "Track",
    "Waveform",
    "load_track",
    "measured",
    "unmeasured_frames",
    "without_holes",
]
