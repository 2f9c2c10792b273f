r"""Whether more AU guidance shows more of a unit in the final frames (AUHead's disentanglement guidance).

    python benchmarks/guidance.py --portraits a.jpg b.jpg [--denoiser FILE] [--out guidance.json]

Every unit is requested at a quarter, on a silent, still portrait, with guidance 1, 2, 3.5 and 5, and measured
by the tracker. Printed per unit: the mean change over portraits at each guidance, and the rank correlation of
the two, 1 where it always rises. Guidance acts on motion and on paint. With --full units are requested at 1,
which motion cannot pass: what changes then is paint alone.
"""

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from auteur import TalkingHead
from auteur.evaluate.control import UNITS, rank_correlation
from auteur.evaluate.sweeps import levels_of, shown_intensities, unit_staircase
from auteur.face.auteur_backend import AuteurBackend
from auteur.talking_head.request import PerformanceRequest
from generate import STILL, write_sound

GUIDANCE = (1.0, 2.0, 3.5, 5.0)


@dataclass(frozen=True)
class Recipe:
    """What to measure on."""

    portraits: tuple[Path, ...]
    denoiser: str = "compact"
    full: bool = False
    """Intensity 1."""
    out: Path | None = None


def main(recipe: Recipe) -> None:
    torch.set_num_threads(1)
    head, track = TalkingHead.from_pretrained(recipe.denoiser), unit_staircase()
    level = -1 if recipe.full else 1
    changes = np.zeros((len(recipe.portraits), len(GUIDANCE), len(UNITS)))
    with tempfile.TemporaryDirectory() as folder:
        silence = write_sound(Path(folder) / "silence.wav", np.zeros(track.frames * 640))
        for i, path in enumerate(recipe.portraits):
            for j, guidance in enumerate(GUIDANCE):
                video = head.perform(
                    path, silence, PerformanceRequest(track=track), replace(STILL, au_guidance=guidance)
                )
                shown = shown_intensities(video.frames(), AuteurBackend(), name=path.name)
                changes[i, j] = [levels_of(shown, u)[level, u] - shown[0, u] for u in range(len(UNITS))]
                print(f"{path.stem} at {guidance:g}: {np.round(changes[i, j], 3).tolist()}", flush=True)
    table = {}
    for u, unit in enumerate(UNITS):
        ranks = [rank_correlation(np.array(GUIDANCE), changes[i, :, u]) for i in range(len(changes))]
        table[unit] = {"change": changes[:, :, u].mean(0).round(4).tolist(), "rank": float(np.mean(ranks))}
        print(
            f"AU{unit:<3d}", *(f"{c:+.3f}" for c in changes[:, :, u].mean(0)), f"rank {np.mean(ranks):+.2f}"
        )
    rising = sum(one["rank"] == 1.0 for one in table.values())
    print(f"{rising} of {len(UNITS)} units rise with every step of guidance on every portrait")
    if recipe.out is not None:
        recipe.out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Recipe))
