"""Pictures of soft noise, marked and encoded, and the recipe of the watermark's detector."""

from pathlib import Path

import numpy as np

from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import part_of
from auteur.lab.data.watermark_frames import items_of
from auteur.lab.train.model_recipe import Schedule
from auteur.lab.train.smoke.tracks import MADE_UP
from auteur.lab.train.smoke.trial import Trial, people
from auteur.lab.train.watermark import WatermarkRecipe
from auteur.media.resize import resized
from auteur.signals.seeding import keyed_generator


def watermark(folder: Path) -> Trial:
    """The detector on eight pictures."""
    random = keyed_generator("watermark smoke")
    names = [*people(lambda n: part_of(n) == "train", 6), *people(lambda n: part_of(n) == "validation", 2)]
    samples: list[MadeSample] = []
    for person in names:
        noise = random.integers(40, 215, (24, 24, 3)).astype(np.uint8)
        luma, pattern = zip(*items_of([resized(noise, 256, 256, "bicubic")], random), strict=True)
        arrays = {"luma": np.stack(luma), "pattern": np.stack(pattern)}
        samples.append(MadeSample(key=person, person=person, frames=1, features={"watermark": arrays}))
    schedule = Schedule(
        steps=16, learning_rate=4e-3, average_decay=0.8, evaluate_every_steps=16, log_every_steps=1
    )
    recipe = WatermarkRecipe(
        data=Corpora(shards=(write_shards(folder / "shards", samples, settings=MADE_UP),)),
        out=folder / "watermark.safetensors",
        batch_size=4,
        crop_units=64,
        schedule=schedule,
    )
    return Trial(recipe)
