"""Recipe: statistics of blinks and gaze of people who talk.

auteur train habits --shards SHARDS --out RUN
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.errors import InputError, UsageError
from auteur.lab.data.motion_tracks import RATE, no_training_person, read_tracks
from auteur.lab.data.shards import Corpora
from auteur.lab.train.model_recipe import save_half
from auteur.motion.idle_motion import IdleMotion

Floats = NDArray[np.floating]

FEWEST_FRAMES = 150
_BLINK_EDGE = 0.2
"""Share of the peak at which a blink begins and ends."""
_LONGEST_BLINK_FRAMES = 10
BLINKS_PER_MINUTE = 17.0
"""Blinks per minute of adults at rest (Bentivoglio et al. 1997). Clips show fewer: cuts and 25 frames a
second hide short ones."""


@dataclass(frozen=True)
class IdleMotionRecipe:
    """Path of the shards, and what counts as a blink and as a shift of the gaze."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    blink_peak: float = 0.45
    """Least closure of the lids above a clip's median in a blink, above 0 and below 1: trackers measure shut
    lids differently."""
    saccade_rad: float = 0.05
    """Least turn of the eyes in two frames in a shift of the gaze, in rad, above 0."""

    def __post_init__(self) -> None:
        if not 0 < self.blink_peak < 1:
            raise UsageError(f"blink_peak is {self.blink_peak}; it must be above 0 and below 1")
        if not self.saccade_rad > 0:
            raise UsageError(f"saccade_rad is {self.saccade_rad}; it must be above 0")


@dataclass(frozen=True, eq=False)
class Talker:
    """One clip."""

    pose: Floats
    """[T, 6]."""
    blink: Floats
    """[T]."""
    gaze: Floats
    """[T, 2] rad, of the eyes in the head."""


def read_talkers(corpora: Corpora) -> list[Talker]:
    """Returns the training people's clips that are long enough and have sound.

    Raises:
        InputError: There is none.
    """
    talkers: list[Talker] = []
    for track in read_tracks(corpora, speech=None):
        if track.part != "train" or not track.has_speech or len(track.pose) < FEWEST_FRAMES:
            continue
        pose = track.pose.astype(np.float64)
        eyes_in_head = track.gaze + pose[:, [1, 0]] * (-1.0, 1.0)
        talkers.append(Talker(pose, track.blink.astype(np.float64), eyes_in_head))
    if not talkers:
        raise InputError(no_training_person(corpora, f"sample with speech and {FEWEST_FRAMES} frames"))
    return talkers


def blink_statistics(talkers: list[Talker], least_peak: float) -> Floats:
    """Returns interval (mean and deviation of its log) and the times of closing, staying closed, opening.

    Args:
        talkers: Clips.
        least_peak: Closure above a clip's median from which a peak is a blink.

    Raises:
        InputError: No clip shows two blinks.
    """
    intervals: list[float] = []
    closing: list[float] = []
    opening: list[float] = []
    for talker in talkers:
        lids = talker.blink - np.median(talker.blink)
        around = range(2, len(lids) - 2)
        peaks = [t for t in around if lids[t] > least_peak and lids[t] == lids[max(0, t - 6) : t + 7].max()]
        intervals += list(np.diff(peaks) / float(RATE))
        for t in peaks:
            before, after = (_edge_frames(lids, t, step) for step in (-1, 1))
            if max(before, after) < _LONGEST_BLINK_FRAMES:
                closing.append(before / float(RATE))
                opening.append(after / float(RATE))
    if not intervals or not closing:
        raise InputError(
            f"no clip shows two blinks that close lids by {least_peak:g}; prepare longer recordings of "
            "people who talk, or set a smaller --blink-peak"
        )
    log_interval = np.log(np.maximum(intervals, 0.5))
    deviation = float(log_interval.std())
    mean = float(np.log(60 / BLINKS_PER_MINUTE) - deviation**2 / 2)
    blur = 1 / float(RATE)  # a frame's exposure and the tracker widen each slope by about a frame
    down, up = (np.median(slopes) / (1 - _BLINK_EDGE) - blur for slopes in (closing, opening))
    return np.array([mean, deviation, down, 0.02, up])


def _edge_frames(lids: Floats, peak: int, step: int) -> float:
    """Frames from the peak to where the lids are back at the edge, between frames by straight line."""
    edge = _BLINK_EDGE * lids[peak]
    t = peak
    while 0 < t < len(lids) - 1 and lids[t] > edge:
        t += step
    inner = lids[t - step]
    return abs(t - peak) - (edge - lids[t]) / (inner - lids[t] + 1e-9)


def gaze_statistics(talkers: list[Talker], least_rad: float) -> Floats:
    """Returns the deviations of the gaze (rad) and the log of the seconds of a fixation (mean, deviation).

    Args:
        talkers: Clips.
        least_rad: Turn of the eyes in two frames from which the gaze shifts.

    Raises:
        InputError: No clip shows two shifts of the gaze.
    """
    deviations = np.median([talker.gaze.std(0) for talker in talkers], axis=0)
    fixations: list[float] = []
    for talker in talkers:
        open_eyes = talker.blink < np.median(talker.blink) + 0.15
        jump = np.linalg.norm(talker.gaze[2:] - talker.gaze[:-2], axis=1) > least_rad
        moments = np.flatnonzero(jump & open_eyes[2:] & open_eyes[:-2])
        moments = moments[np.diff(moments, prepend=-10) > 3]
        fixations += list(np.diff(moments) / float(RATE))
    if not fixations:
        raise InputError(
            f"no clip shows two shifts of the gaze by {least_rad:g} rad; prepare longer recordings of people "
            "who talk, or set a smaller --saccade-rad"
        )
    logs = np.log(fixations)
    return np.array([*deviations, logs.mean(), logs.std()])


def train(recipe: IdleMotionRecipe) -> None:
    """Fits the statistics on training people and writes them."""
    recipe.data.refuse_mix("a fit counts every clip")
    talkers = read_talkers(recipe.data)
    model = IdleMotion()
    blinks = blink_statistics(talkers, recipe.blink_peak)
    gaze = gaze_statistics(talkers, recipe.saccade_rad)
    for name, values in {"blink": blinks, "gaze": gaze}.items():
        getattr(model, name).copy_(torch.from_numpy(values.astype(np.float32)))
    save_half(model, recipe.out)
