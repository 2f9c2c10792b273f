"""Motion tracks of made-up people, and the recipes that learn from them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.data.motion_tracks import part_of
from auteur.data.motion_windows import read_clips
from auteur.face.pose import canonical_face
from auteur.facs import ACTION_UNITS, CONTROLS
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.motion.generator import MotionConfig
from auteur.motion.habits import FaceHabits
from auteur.train.au_basis import AUBasisRecipe
from auteur.train.habits import HabitsRecipe
from auteur.train.model_recipe import Schedule
from auteur.train.motion import MotionRecipe
from auteur.train.smoke.talking import Talk, talk
from auteur.train.smoke.trial import Trial, people
from auteur.weights import load_file, load_shipped

SPEECH_FEATURES = 6
BLINK_EVERY_SEC = 2.0
GAZE_RAD = (0.12, 0.06)
FIXATION_SEC = 0.8

Floats = NDArray[np.floating]


def write_tracks(folder: Path, *, training: int = 4, seconds: float = 6.0) -> tuple[Path, dict[str, Talk]]:
    """Writes tracks of training people, one validation and one test person; returns the folder and the talks.

    The lips follow the speech, the rest of the face its Action Units by the shipped basis.
    """
    random, basis = np.random.default_rng(0), load_shipped(AUBasis(), "au_basis")
    tracks, talks = folder / "tracks", dict[str, Talk]()
    tracks.mkdir(parents=True)
    names = [
        *people(lambda name: part_of(name) == "train", training),
        *people(lambda name: part_of(name) == "validation", 1),
        *people(lambda name: part_of(name) == "test", 1),
    ]
    per_control = np.stack([basis.control_displacement(control) for control in CONTROLS])
    neutral = np.zeros((478, 3), np.float32)
    neutral[:468] = canonical_face()
    for name in names:
        said = talks[name] = talk(random, seconds)
        frames = len(said.gap_mm)
        units = _units(frames, random)
        moved = (
            np.einsum("tc,cpd->tpd", units, per_control) + said.gap_mm[:, None, None] * basis.opening.numpy()
        )
        blink, gaze = _blinks(frames), _gaze(frames, random)
        pose = np.cumsum(random.normal(0, 0.01, (frames, 6)), axis=0)
        pose -= pose.mean(0)
        np.savez(
            tracks / f"{name}.npz",
            allow_pickle=False,
            displacement=(moved + random.normal(0, 0.05, moved.shape)).astype(np.float16),
            neutral=neutral,
            units=units.astype(np.float16),
            pose=pose.astype(np.float32),
            blink=blink.astype(np.float32),
            gaze=(gaze - pose[:, [1, 0]] * (-1.0, 1.0)).astype(np.float32),
            identity=np.array(name),
            part=np.array(part_of(name)),
            speech=_features(said, random).astype(np.float32),
            loudness=said.loudness.astype(np.float32),
            lag=np.array(0),
        )
    return tracks, talks


def _features(said: Talk, random: np.random.Generator) -> Floats:
    """Four numbers that hear the jaw, expected lips, loudness; the recipe knows the last two by place."""
    lips = (said.gap_mm - said.gap_mm.mean()) / said.gap_mm.std()
    mixed = np.outer(lips, [1.0, -0.6, 0.4, 0.2]) + random.normal(0, 0.3, (len(lips), 4))
    return np.column_stack([mixed, lips + random.normal(0, 0.2, len(lips)), said.loudness])


def _units(frames: int, random: np.random.Generator) -> Floats:
    """Slow random intensities [T, C] of the units that the basis moves, both sides alike."""
    units = np.zeros((frames, len(CONTROLS)))
    time = np.arange(frames) / 25
    for number in BASIS_UNITS:
        wave = np.sin(2 * np.pi * (random.uniform(0.1, 0.6) * time + random.uniform()))
        columns = [CONTROLS.index(control) for control in ACTION_UNITS[number].controls]
        units[:, columns] = np.clip(0.6 * wave, 0, 1)[:, None]
    return units


def _blinks(frames: int) -> Floats:
    lids = np.zeros(frames)
    for start in np.arange(20, frames - 10, BLINK_EVERY_SEC * 25).astype(int):
        lids[start - 2 : start + 4] = (0.3, 0.7, 0.9, 0.6, 0.3, 0.1)
    return lids


def _gaze(frames: int, random: np.random.Generator) -> Floats:
    holds = int(FIXATION_SEC * 25)
    targets = random.normal(0, GAZE_RAD, (frames // holds + 1, 2))
    return np.repeat(targets, holds, axis=0)[:frames] + random.normal(0, 0.002, (frames, 2))


def motion(folder: Path) -> Trial:
    """The motion generator on six people."""
    tracks, _ = write_tracks(folder)
    sizes = MotionConfig(
        speech_features=SPEECH_FEATURES, coefficients=8, code=8, hidden=16, latent=4, encoder_layers=2,
        decoder_layers=2, flow_hidden=8, flow_layers=1, flow_couplings=1, dropout=0.0,
    )  # fmt: skip
    schedule = Schedule(
        steps=30, learning_rate=4e-3, weight_decay=0.02, evaluate_every_steps=15, log_every_steps=1
    )
    out = folder / "motion.safetensors"
    return Trial(MotionRecipe(tracks=tracks, out=out, batch_size=8, config=sizes, schedule=schedule))


def au_basis(folder: Path) -> Trial:
    """The Action Unit basis; error: mean square of the test person's movement that is not explained."""
    tracks, _ = write_tracks(folder, training=6)
    recipe = AUBasisRecipe(tracks=tracks, out=folder / "au_basis.safetensors")

    def fitted() -> tuple[float, float]:
        (clip,) = (clip for clip in read_clips(tracks) if clip.part == "test")
        model = load_file(AUBasis(), recipe.out)
        made = np.einsum(
            "tc,cpd->tpd", clip.controls, np.stack([model.control_displacement(c) for c in CONTROLS])
        )
        still = (
            clip.displacement_mm
            - (clip.displacement_mm[:, 14, 1] - clip.displacement_mm[:, 13, 1])[:, None, None]
            * model.opening.numpy()
        )
        return float(np.square(clip.displacement_mm).mean()), float(np.square(still - made).mean())

    return Trial(recipe, fitted)


def habits(folder: Path) -> Trial:
    """The statistics of head, lids and eyes; error: how far those of blinks and gaze are from the truth."""
    tracks, _ = write_tracks(folder, seconds=20.0)
    recipe = HabitsRecipe(tracks=tracks, out=folder / "habits.safetensors")

    def error(model: FaceHabits) -> float:
        deviations = np.abs(model.gaze.numpy()[:2] / np.array(GAZE_RAD) - 1).mean()
        lids = np.abs(model.blink.numpy()[[2, 4]] - (0.05, 0.1)).mean()
        return float(deviations + lids)

    return Trial(recipe, lambda: (error(FaceHabits()), error(load_file(FaceHabits(), recipe.out))))
