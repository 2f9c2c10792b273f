r"""Faces that moved by a known amount: labelled crops, moved by the portrait warp.

    python -m auteur.lab.data.warped_faces --labels LABELS

The teacher hardly detects raised cheeks, wrinkled noses or dimples, so its labels lack them. Here a
stored crop of a training person is moved by random Action Units, small swellings anywhere on the face, lids,
gaze and head; its labels are the teacher's landmarks of the unmoved face plus the movement that was drawn.
`LABELS` receives shards `warped_NNN` beside those of `auteur.lab.data.face_teacher`: groups of `VIEWS` rows,
the first unmoved. Blendshapes of moved faces are not known and are left as the unmoved face's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from auteur.errors import InputError
from auteur.face.pose import canonical_face, head_pose
from auteur.facs import ACTION_UNITS
from auteur.lab.data.face_crops import Picture, Shard
from auteur.lab.data.face_shards import read_shards
from auteur.motion.au_basis import AUBasis
from auteur.motion.habits import POSE_CONVENTION
from auteur.motion.portrait import apply_to
from auteur.signals import PoseTrack
from auteur.signals.topology import MEDIAPIPE_COUNT
from auteur.synthesis.warp import PortraitWarper
from auteur.weights import load_shipped

Floats = NDArray[np.floating]

VIEWS = 4
"""Rows of a group: the face as it is, then moved."""

GROUPS_PER_SHARD = 400
MOST_TURNED_RAD = 0.5
"""Yaw up to which a face is moved; beyond, the warp has too little of the far side."""

_UNIT_CHANCES = {
    1: 1.0, 2: 1.0, 4: 2.0, 5: 2.0, 6: 3.0, 7: 1.5, 9: 2.5, 10: 1.0, 12: 1.5, 14: 2.0, 15: 1.0,
    16: 0.5, 17: 2.0, 18: 0.5, 20: 1.0, 22: 0.5, 23: 1.0, 24: 0.5, 25: 1.0, 26: 1.0, 28: 0.5,
}  # fmt: skip
"""Relative frequency of each unit; units that the teacher does not detect are drawn more often."""

_SWELLING_MM = 1.2
_SWELLING_WIDTH_MM = (8.0, 20.0)


@dataclass(frozen=True)
class WarpedFacesRecipe:
    """Path of the labelled crops, and how many to move."""

    labels: Path
    """Folder that `python -m auteur.lab.data.face_teacher` filled; the new shards go there too."""
    groups: int = 2400
    most_per_person: int = 12
    seed: int = 0


def random_displacement(basis: AUBasis, random: Generator) -> Floats:
    """Returns a displacement [478, 3] in mm: one to three Action Units, often a swelling or two on top."""
    numbers = np.array(list(_UNIT_CHANCES))
    chances = np.array(list(_UNIT_CHANCES.values()))
    total = np.zeros((MEDIAPIPE_COUNT, 3))
    count = int(random.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    for number in random.choice(numbers, size=count, replace=False, p=chances / chances.sum()):
        whole = f"AU{number}"
        control = str(random.choice([whole, whole, whole, *ACTION_UNITS[int(number)].controls]))
        total += random.uniform(0.15, 1.1) * basis.control_displacement(control)
    if random.random() < 0.5:
        mesh = canonical_face()
        for _ in range(int(random.integers(1, 4))):
            width = random.uniform(*_SWELLING_WIDTH_MM)
            distance = np.linalg.norm(mesh - mesh[random.integers(len(mesh))], axis=1)
            total[:468] += np.exp(-((distance / width) ** 2))[:, None] * random.normal(0, _SWELLING_MM, 3)
    return total


def moved_views(
    picture: Picture, landmarks: Floats, basis: AUBasis, random: Generator
) -> tuple[Picture, Floats]:
    """Returns `VIEWS` pictures [V, S, S, 3] of one face and their landmarks, [V, 478, 3] px."""
    count = VIEWS - 1
    displacement = np.stack([random_displacement(basis, random) for _ in range(count)])
    lids = np.where(random.random((count, 1)) < 0.2, random.uniform(0, 1, (count, 1)), 0) * np.ones((1, 2))
    turn = np.where(random.random((count, 1)) < 0.4, random.normal(0, 0.04, (count, 3)), 0.0)
    head = PoseTrack(
        values=np.concatenate([turn, np.zeros((count, 3))], axis=1).astype(np.float32),
        rate=Fraction(25),
        convention=POSE_CONVENTION,
    )
    wanted = apply_to(
        landmarks,
        displacement,
        lids=lids,
        gaze_rad=np.where(random.random((count, 1)) < 0.3, random.normal(0, 0.15, (count, 2)), 0.0),
        head=head,
    )
    warper = PortraitWarper(
        torch.from_numpy(picture.transpose(2, 0, 1).copy()), torch.from_numpy(landmarks.astype(np.float32))
    )
    targets = torch.from_numpy(wanted)
    frames = warper.render(targets).permute(0, 2, 3, 1).numpy()
    shown = np.stack([warper.mesh(target).landmarks.numpy() for target in targets])  # after the warp's limits
    return np.concatenate([picture[None], frames]), np.concatenate([landmarks[None], shown])


def sources(shards: list[Shard], recipe: WarpedFacesRecipe, random: Generator) -> Iterator[tuple[Shard, int]]:
    """Yields rows of frontal faces in random order, so many of each person at most."""
    rows = [(shard, row) for shard in shards for row in range(len(shard.landmarks))]
    taken: dict[str, int] = {}
    for pick in random.permutation(len(rows)):
        shard, row = rows[pick]
        person = shard.identities[row]
        if taken.get(person, 0) >= recipe.most_per_person:
            continue
        if abs(float(head_pose(shard.landmarks[row]).angles_rad[1])) > MOST_TURNED_RAD:
            continue
        taken[person] = taken.get(person, 0) + 1
        yield shard, row


def build(recipe: WarpedFacesRecipe) -> None:
    """Writes the shards of moved faces."""
    torch.set_num_threads(1)
    random = np.random.default_rng(recipe.seed)
    basis = load_shipped(AUBasis(), "au_basis")
    training, _ = read_shards(recipe.labels)
    shards = [shard for shard in training if not shard.name.startswith(("warped", "ict"))]
    found = sources(shards, recipe, random)
    for number in track(range(-(-recipe.groups // GROUPS_PER_SHARD)), "warped faces"):
        pictures, points, people, values = [], [], [], []
        for shard, row in found:
            try:
                views, landmarks = moved_views(
                    np.array(shard.pictures[row]), shard.landmarks[row], basis, random
                )
            except InputError:  # too small or too much outside the stored crop
                continue
            pictures.append(views)
            points.append(landmarks)
            people += [shard.identities[row]] * VIEWS
            values.append(np.repeat(shard.blendshapes[row][None], VIEWS, axis=0))
            if len(pictures) == GROUPS_PER_SHARD:
                break
        if not pictures:
            return
        path = recipe.labels / f"warped_{number:03d}"
        np.save(path.with_suffix(".crops.npy"), np.concatenate(pictures))
        path.with_suffix(".txt").write_text("\n".join(people), encoding="utf-8")
        np.savez(
            path.with_suffix(".npz"),
            index=np.arange(len(people)),
            landmarks=np.concatenate(points).astype(np.float32),
            blend=np.concatenate(values),
            affine=np.tile(np.eye(2, 3), (len(people), 1, 1)),
        )


if __name__ == "__main__":
    build(tyro.cli(WarpedFacesRecipe))
