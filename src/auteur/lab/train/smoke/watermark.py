"""Pictures of soft noise, marked and encoded, and the recipe of the watermark's detector."""

from pathlib import Path

import numpy as np

from auteur.lab.data.watermark_frames import items_of, write_items
from auteur.lab.train.model_recipe import Schedule
from auteur.lab.train.smoke.trial import Trial
from auteur.lab.train.watermark import WatermarkRecipe
from auteur.media.resize import resized
from auteur.signals.seeding import keyed_generator


def watermark(folder: Path) -> Trial:
    """The detector on eight pictures."""
    random = keyed_generator("watermark smoke")
    for name, count in (("training", 6), ("validation", 2)):
        noise = random.integers(40, 215, (count, 24, 24, 3)).astype(np.uint8)
        items = [item for one in noise for item in items_of([resized(one, 256, 256, "bicubic")], random)]
        write_items(folder / "frames" / f"{name}.safetensors", items)
    schedule = Schedule(
        steps=16, learning_rate=4e-3, average_decay=0.8, evaluate_every_steps=16, log_every_steps=1
    )
    recipe = WatermarkRecipe(
        frames=folder / "frames",
        out=folder / "watermark.safetensors",
        batch_size=4,
        crop_units=64,
        schedule=schedule,
    )
    return Trial(recipe)
