"""Synthetic shards, photographs and a face model for paper B's recipes."""

from pathlib import Path

import numpy as np

from auteur.expression.space import CompactExpressionSpace, reconstruction_error_mm
from auteur.face.pose import canonical_face
from auteur.facs import CONTROLS, EMOTIONS, MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.expression_tracks import read_motions
from auteur.lab.data.ict_faces import ICT_VERTICES
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import is_held_out, part_of
from auteur.lab.train.expression_generator import ExpressionGeneratorRecipe
from auteur.lab.train.expression_space import ICT_IBUG68, ExpressionSpaceRecipe, offsets
from auteur.lab.train.smoke.tracks import MADE_UP, resting_face
from auteur.lab.train.smoke.trial import Trial, people
from auteur.signals import topology

FRAMES = 60
_SHAPES = 20
"""Of the face model that is made up."""
_CM = np.array([0.1, -0.1, -0.1])
"""Canonical millimetres to the face model's centimetres and axes."""


def write_tracks(folder: Path) -> Corpora:
    """Writes shards with a clip per person and emotion, and one without a label; returns the corpora."""
    random, space = np.random.default_rng(0), CompactExpressionSpace.shipped()
    names = [*people(lambda n: part_of(n) == "train", 3), *people(lambda n: part_of(n) == "validation", 1)]
    samples: list[MadeSample] = []
    for person in names:
        for emotion in (*EMOTIONS, None):
            vectors = 0.2 * random.normal(size=(FRAMES, space.coefficients)).cumsum(axis=0) / 5
            vectors[:, 1 + EMOTIONS.index(emotion or "neutral")] += 1.5
            motion = {
                "displacement": space.decode(vectors).astype(np.float16),
                "neutral": resting_face(),
                "units": random.uniform(0, 0.4, (FRAMES, len(CONTROLS))).astype(np.float16),
                "blink": np.zeros(FRAMES, np.float32),
            }
            loudness = random.uniform(0, 1, FRAMES).astype(np.float32)
            speech = {"values": np.zeros((FRAMES, 6), np.float32), "loudness": loudness}
            samples.append(
                MadeSample(
                    key=f"{person}-{emotion or 'talk'}",
                    person=person,
                    frames=FRAMES,
                    emotion=emotion,
                    intensity=None if emotion is None else float(emotion != "neutral"),
                    arrays={"pose": np.zeros((FRAMES, 6)), "gaze": np.zeros((FRAMES, 2))},
                    features={"motion": motion, "speech": speech},
                )
            )
    return Corpora(shards=(write_shards(folder / "shards", samples, settings=MADE_UP),))


def write_photographs(folder: Path, *, number: int = 40) -> Path:
    """Writes shards of photographs of all people in every emotion; returns their folder."""
    random, space = np.random.default_rng(1), CompactExpressionSpace.shipped()
    samples: list[MadeSample] = []
    for person in range(number):
        for index, emotion in enumerate(EMOTIONS):
            vector = 0.3 * random.normal(size=(1, space.coefficients))
            vector[0, 1 + index] += 1.5
            blend = random.uniform(0, 0.2, (1, len(MEDIAPIPE_BLENDSHAPES)))
            blend[0, 25 + 2 * index : 29 + 2 * index] += 0.3
            landmarks = resting_face() + space.decode(vector)
            landmarks += random.normal(0, 0.2, landmarks.shape)
            samples.append(
                MadeSample(
                    key=f"person{person:03d}-{emotion}",
                    person=f"photos:Person{person:03d}_Test",
                    frames=1,
                    emotion=emotion,
                    held_out=is_held_out(f"Person{person:03d}_Test"),
                    arrays={
                        "landmarks": landmarks.astype(np.float32),
                        "blendshapes": blend.astype(np.float32),
                    },
                )
            )
    return write_shards(folder / "photographs", samples, kind="photos", settings=MADE_UP)


def write_face_model(folder: Path) -> Path:
    """Writes a cloud of points laid out as ICT-FaceKit's file, whose shapes are random soft bumps."""
    random, mesh = np.random.default_rng(2), canonical_face()
    neutral = mesh[np.arange(ICT_VERTICES) % len(mesh)] + random.normal(0, 0.5, (ICT_VERTICES, 3))
    for vertex, place in zip(ICT_IBUG68, topology.IBUG68, strict=True):
        if place < len(mesh):
            neutral[vertex] = mesh[place]
    names = [f"shape{number:02d}" for number in range(_SHAPES)]
    deltas = np.zeros((len(names), ICT_VERTICES, 3), np.float16)
    for number in range(len(names)):
        centre = mesh[random.integers(len(mesh))]
        bump = np.exp(-np.square(neutral - centre).sum(axis=1) / 2 / 15**2)
        deltas[number] = (bump[:, None] * random.normal(0, 3, 3) * _CM).astype(np.float16)
    path = folder / "face_model.npz"
    np.savez(
        path,
        allow_pickle=False,
        neutral=neutral * _CM,
        expression_names=np.array(names),
        expression_deltas=deltas,
    )
    return path


def with_photographs(folder: Path) -> Corpora:
    """Writes clips and photographs; returns both."""
    return Corpora(shards=(*write_tracks(folder).shards, write_photographs(folder)))


def space(folder: Path) -> Trial:
    """The expression space; error: of the validation person's clips, beside how far they move, in mm."""
    data = with_photographs(folder)
    recipe = ExpressionSpaceRecipe(
        data=data,
        face_model=write_face_model(folder),
        out=folder / "expression_space.safetensors",
    )

    def fitted() -> tuple[float, float]:
        found = CompactExpressionSpace.from_file(recipe.out)
        moved = [offsets(motion) for motion in read_motions(data) if motion.part == "validation"]
        sizes = [float(np.linalg.norm(one, axis=2).mean()) for one in moved]
        errors = [float(reconstruction_error_mm(found, one).mean()) for one in moved]
        return float(np.mean(sizes)), float(np.mean(errors))

    return Trial(recipe, fitted)


def generator(folder: Path) -> Trial:
    """The compact generator against its discriminators."""
    data = with_photographs(folder)
    recipe = ExpressionGeneratorRecipe(
        data,
        folder / "expression_generator.safetensors",
        steps=12,
        batch_size=6,
        average_decay=0.9,
        log_every_steps=1,
        save_every_steps=6,
    )
    return Trial(recipe, term="reconstruction")
