"""Faces drawn from polygons, labelled by their own points, and the recipes of the tracker."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from auteur.face.crops import CropFrame, frame_of_landmarks
from auteur.face.pose import canonical_face
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.face_shards import is_validation
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import is_held_out
from auteur.lab.data.warped_faces import VIEWS
from auteur.lab.train.detector import DetectorRecipe
from auteur.lab.train.landmarker import LandmarkerRecipe
from auteur.lab.train.model_recipe import Schedule
from auteur.lab.train.skin_shading import SkinShadingRecipe
from auteur.lab.train.smoke.tracks import MADE_UP
from auteur.lab.train.smoke.trial import Trial, people
from auteur.motion.au_basis import AUBasis
from auteur.signals import topology
from auteur.synthesis.warp.skin_shading import SHADED_UNITS, SkinShading
from auteur.weights import load_file, load_shipped

CROP_PX = 224
_PX_PER_MM = 0.68
"""A face of about 107 px: the stored crop is 2.1 times as large."""
_SHOWS = {
    "jawOpen": "AU26",
    "mouthSmileLeft": "AU12L",
    "mouthSmileRight": "AU12R",
    "browInnerUp": "AU1",
    "eyeBlinkLeft": "AU43L",
    "eyeBlinkRight": "AU43R",
}
"""Blendshapes that the drawn faces move, and their movement."""

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]


class DrawnFaces:
    """Draws faces that move by the shipped Action Unit basis."""

    def __init__(self, seed: int = 0) -> None:
        self.random, self._basis = np.random.default_rng(seed), load_shipped(AUBasis(), "au_basis")
        self._mesh = np.zeros((478, 3))
        self._mesh[:468] = canonical_face()
        for iris, eye in ((topology.RIGHT_IRIS, topology.RIGHT_EYE), (topology.LEFT_IRIS, topology.LEFT_EYE)):
            circle = [(0, 0), (1, 0), (0, -1), (-1, 0), (0, 1)]
            self._mesh[list(iris)] = self._mesh[list(eye)].mean(0) + 3.5 * np.array([(*c, 0) for c in circle])

    def build(self) -> Floats:
        """Returns the proportions of a person, [3]."""
        return self.random.uniform(0.9, 1.1, 3)

    def shown(self) -> Floats:
        """Returns random blendshapes [52]."""
        values = np.zeros(len(MEDIAPIPE_BLENDSHAPES), np.float32)
        for name in _SHOWS:
            values[MEDIAPIPE_BLENDSHAPES.index(name)] = self.random.uniform(0, 1)
        return values

    def landmarks(self, build: Floats, blendshapes: Floats, *, side_px: int = CROP_PX) -> Floats:
        """Returns the points [478, 3] of a slightly turned head in the middle of a picture, px."""
        requested = {
            unit: float(blendshapes[MEDIAPIPE_BLENDSHAPES.index(name)]) for name, unit in _SHOWS.items()
        }
        mesh = (self._mesh + self._basis.displacement(requested)) * build
        roll = self.random.normal(0, 0.08)
        turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return mesh @ turn.T * _PX_PER_MM * side_px / CROP_PX + [side_px / 2, side_px / 2, 0]

    def picture(self, landmarks: Floats, colours: int, *, side_px: int = CROP_PX) -> Picture:
        """Returns the drawing, uint8 RGB [side, side, 3]."""
        paint = np.random.default_rng(colours)
        wall, skin, hair = (
            tuple(map(int, paint.integers(*span, 3))) for span in ((20, 200), (150, 230), (10, 80))
        )
        canvas = np.full((side_px, side_px, 3), wall, np.uint8)
        points = landmarks[:, :2].round().astype(np.int32)
        for part, colour in (
            (topology.FACE_OVAL, skin),
            (topology.RIGHT_EYE, (240, 240, 240)),
            (topology.LEFT_EYE, (240, 240, 240)),
            (topology.RIGHT_IRIS[1:], (60, 40, 30)),
            (topology.LEFT_IRIS[1:], (60, 40, 30)),
            (topology.RIGHT_BROW, hair),
            (topology.LEFT_BROW, hair),
            (topology.OUTER_LIPS, (180, 70, 80)),
            (topology.INNER_LIPS, (60, 10, 20)),
        ):
            cv2.fillPoly(canvas, [points[list(part)]], colour)
        cv2.polylines(canvas, [points[[168, 6, 197, 195, 5, 4, 1]]], False, tuple(c // 2 for c in skin), 2)
        return canvas


def _write_shard(
    labels: Path, name: str, points: list[Floats], blends: list[Floats], drawn: list[Picture]
) -> None:
    count = len(points)
    np.savez(
        labels / f"{name}.npz",
        allow_pickle=False,
        index=np.arange(count),
        landmarks=np.stack(points).astype(np.float32),
        blend=np.stack(blends).astype(np.float32),
        affine=np.tile(np.eye(2, 3), (count, 1, 1)),
    )
    np.save(labels / f"{name}.crops.npy", np.stack(drawn), allow_pickle=False)


def write_labels(folder: Path, *, photographs: int = 1, held_out: int = 0) -> Path:
    """Writes clips, photographs and moved faces of drawn people, some of whom choose checkpoints.

    Args:
        folder: Where `labels` is made.
        photographs: Of each person.
        held_out: Held-out people, who have photographs only.
    """
    faces, labels = DrawnFaces(), folder / "labels"
    labels.mkdir(parents=True)
    training = people(lambda name: not is_held_out(name) and not is_validation(name), 4)
    chooser = people(lambda name: not is_held_out(name) and is_validation(name), 1)
    rows = ["shard,identity"]
    for number, person in enumerate([*training, *chooser]):
        build = faces.build()
        blends = [faces.shown() for _ in range(12)]
        points = [faces.landmarks(build, one) for one in blends]
        _write_shard(labels, f"clip{number}", points, blends, [faces.picture(p, number) for p in points])
        rows.append(f"clip{number},{person}")
    (labels / "identities.csv").write_text("\n".join(rows), encoding="utf-8")
    tested = people(is_held_out, held_out) if held_out else []
    for kind, count in (("photos", photographs), ("warped", VIEWS)):
        names, points, blends, drawn = list[str](), list[Floats](), list[Floats](), list[Picture]()
        for number, person in enumerate([*training, *chooser, *(tested if kind == "photos" else [])]):
            build = faces.build()
            for take in range(count):
                names.append(f"{person}_{take:04d}.jpg" if kind == "photos" else str(person))
                blends.append(faces.shown())
                points.append(faces.landmarks(build, blends[-1]))
                drawn.append(faces.picture(points[-1], 10 + number))
        (labels / f"{kind}_00000.txt").write_text("\n".join(names), encoding="utf-8")
        _write_shard(labels, f"{kind}_00000", points, blends, drawn)
    return labels


def landmarker(folder: Path) -> Trial:
    """The landmarker on five drawn people."""
    schedule = Schedule(
        steps=10, learning_rate=2e-3, average_decay=0.8, evaluate_every_steps=10, log_every_steps=1
    )
    recipe = LandmarkerRecipe(
        labels=write_labels(folder),
        out=folder / "landmarker.safetensors",
        batch_size=8,
        pairs=1,
        shape_coefficients=16,
        schedule=schedule,
    )
    return Trial(recipe)


def detector(folder: Path) -> Trial:
    """The detector on scenes with a drawn face each."""
    faces, scenes = DrawnFaces(), folder / "labels" / "scenes"
    scenes.mkdir(parents=True)
    rows = ["file,identity,center_x,center_y,side,roll"]
    names = [*people(lambda name: not is_held_out(name), 4), *people(is_held_out, 2)]
    for number, person in enumerate(names):
        points = faces.landmarks(faces.build(), faces.shown(), side_px=320)
        frame: CropFrame = frame_of_landmarks(points, crop_to_face=1.0)
        picture = faces.picture(points, number, side_px=320)
        cv2.imwrite(str(scenes / f"scene{number}.png"), picture[..., ::-1])
        (x, y) = frame.center_px
        rows.append(f"scene{number}.png,{person},{x},{y},{frame.side_px},{frame.roll_rad}")
    (folder / "labels" / "scenes.csv").write_text("\n".join(rows), encoding="utf-8")
    schedule = Schedule(
        steps=10, learning_rate=4e-3, average_decay=0.8, evaluate_every_steps=10, log_every_steps=1
    )
    recipe = DetectorRecipe(
        labels=folder / "labels",
        out=folder / "detector.safetensors",
        batch_size=4,
        test_mosaics=16,
        schedule=schedule,
    )
    return Trial(recipe)


def skin_shading(folder: Path) -> Trial:
    """The shading on a drawn face that darkens its chin as the jaw opens; error: what of it is not found."""
    faces = DrawnFaces()
    (person,) = people(lambda name: not is_held_out(name), 1)
    build, blends = faces.build(), [faces.shown() for _ in range(30)]
    points = [faces.landmarks(build, one) for one in blends]
    jaw = MEDIAPIPE_BLENDSHAPES.index("jawOpen")
    drawn = [faces.picture(p, 0) for p in points]
    for picture, mesh, blend in zip(drawn, points, blends, strict=True):
        chin = mesh[[199, 200, 201, 421, 175], :2].round().astype(np.int32)
        shade = np.ones(picture.shape[:2], np.float32)
        cv2.fillConvexPoly(shade, cv2.convexHull(chin), float(1 - 0.4 * blend[jaw]))
        picture[:] = np.clip(picture * shade[..., None], 0, 255)
    sample = MadeSample(
        key="clip",
        person=person,
        frames=len(drawn),
        arrays={"landmarks": np.stack(points).astype(np.float32), "blendshapes": np.stack(blends)},
        pictures=np.stack(drawn),
    )
    data = Corpora(shards=(write_shards(folder / "shards", [sample], settings=MADE_UP),))
    recipe = SkinShadingRecipe(data=data, out=folder / "skin_shading.safetensors", every=1)

    def fitted() -> tuple[float, float]:
        ratios = load_file(SkinShading(), recipe.out).ratios
        darkest = float(ratios[SHADED_UNITS.index(26)].min())
        return 0.5, abs(0.5 + darkest)  # log 0.6

    return Trial(recipe, fitted)
