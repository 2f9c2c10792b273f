r"""What the compact denoiser adds to the warp, on people it never saw; baselines beside every figure.

    python benchmarks/painted.py --shards SHARDS --denoiser FILE \
        [--steps 1 2 4] [--without au reference ...] [--ceiling] [--sheet FOLDER]

Every sample of a held-out person is played again from its first frame, with the landmarks that were tracked
in it. Compared with the real frames: the mouth (an oval around the lips, and what shows between them, in
decibels; the square around it by SSIM, the auteur perceptual distance and sharpness), the whole face's
appearance, and flicker where the real video stands still. What shows between the lips is also described by
itself: the standard deviation of its luminance, and the shares of it that are bright and dark relative to the
skin around (`BRIGHT`, `DARK`); these should be the real video's, not high or low. A person counts once,
whatever pieces show them.
The real video itself comes first: its score is the highest that can be reached.
With --ceiling also what the best of painters could reach: the warp with real pixels between the lips.
"""

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from auteur.evaluate.behaviour import FlickerMeter
from auteur.evaluate.face_features import (
    FaceFeatureNet,
    aligned_crop,
    appearance_similarity,
    perceptual_distance,
)
from auteur.evaluate.picture_quality import sharpness, ssim
from auteur.face import crops
from auteur.facs import au_track, convert
from auteur.lab.data.face_views import FacePiece, piece_of
from auteur.lab.data.motion_tracks import RATE
from auteur.lab.data.shards import ShardReader
from auteur.media import write_image
from auteur.motion.au_basis import AUBasis
from auteur.motion.speech_motion import SpeechMotion
from auteur.painting.conditioning import ConditionBuilder, Window
from auteur.painting.inpainter import Inpainter
from auteur.painting.loading import DenoiserBundle
from auteur.provenance import Mark
from auteur.signals import LandmarkTrack
from auteur.synthesis.canonical_crops import crop_frames
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.storage import load_denoiser
from auteur.synthesis.luminance import luminance
from auteur.synthesis.masks import holes, lip_oval, with_rim
from auteur.synthesis.warp import PortraitWarper

SIDE = 160
"""Of the squares that are compared."""
FEWEST_PIXELS = 100
"""Of an opening between the lips that counts as one."""
BRIGHT, DARK = 0.75, 0.3
"""Least luminance of a bright pixel, most of a dark one, in medians of the real square around the mouth."""


class Lacking(ConditionBuilder):
    """A scene with some conditions withheld."""

    lacks: tuple[str, ...] = ()

    def conditions(self, window: Window, first: int) -> Conditions:
        return super().conditions(window, first).without(*self.lacks)


@cache
def basis() -> AUBasis:
    return SpeechMotion.shipped().basis


def played(
    piece: FacePiece, bundle: DenoiserBundle | None, *, steps: int, lacks: tuple[str, ...]
) -> np.ndarray:
    """The piece again from its first frame, uint8 [T, S, S, 3]; without a denoiser by the warp alone."""
    portrait = torch.from_numpy(piece.pictures[0]).permute(2, 0, 1).contiguous()
    warper = PortraitWarper(portrait, torch.from_numpy(piece.landmarks[0]))
    if bundle is None:
        return warper.render(torch.from_numpy(piece.landmarks)).permute(0, 2, 3, 1).numpy()
    requested = convert(au_track(piece.units, convention="feafa24", rate=RATE), "facs")
    builder = Lacking(
        bundle,
        warper,
        portrait,
        piece.landmarks[0],
        basis=basis(),
        action_units=requested,
        speech_features=None if piece.speech is None else torch.from_numpy(piece.speech),
    )
    builder.lacks = tuple(name for name in lacks if name in bundle.denoiser.condition_names)
    side = piece.pictures.shape[1]

    def landmarks(first: int, stop: int) -> LandmarkTrack:
        return LandmarkTrack(
            values=piece.landmarks[first:stop],
            rate=RATE,
            convention="mediapipe478",
            image_size_px=(side, side),
        )

    settings = bundle.settings(steps=steps)
    return np.stack(
        list(Inpainter(builder).frames(landmarks, count=len(piece.landmarks), seed=0, settings=settings))
    )


def with_real_openings(piece: FacePiece, warp: np.ndarray) -> np.ndarray:
    """The warp [T, S, S, 3] with what really showed between the lips, and nothing else of the real video."""
    side = warp.shape[1]
    pixels = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy"), dim=-1)
    made = []
    for points, one, real in zip(piece.landmarks, warp, piece.pictures, strict=True):
        shown = holes(torch.from_numpy(points[:, :2]).float(), pixels.float(), only_mouth=True)
        mask = with_rim(shown)[..., None].numpy()
        made.append(((1 - mask) * one + mask * real).round().astype(np.uint8))
    return np.stack(made)


def compared(piece: FacePiece, made: np.ndarray, net: FaceFeatureNet) -> dict[str, float]:
    """All figures of one piece, means over its frames after the first."""
    real, flicker = piece.pictures, FlickerMeter()
    for one, other in zip(made, real, strict=True):
        flicker.add(one, other)
    every = slice(1, None, 2)
    decibels, openings, squares, faces = [], [], ([], []), ([], [])
    shown: list[tuple[float, float, float]] = []
    pixels = torch.stack(
        torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="xy"), dim=-1
    ).float()
    for points, one, other in zip(piece.landmarks[every], made[every], real[every], strict=True):
        frame = crop_frames(points[None], "mouth")[0]
        pair = [crops.cut(torch.from_numpy(p), frame, SIDE) for p in (one, other)]
        own = torch.from_numpy(crops.apply(frame.matrix(SIDE), points[:, :2])).float()
        ring = lip_oval(own, pixels) > 0.5
        inside = with_rim(holes(own, pixels, only_mouth=True)) > 0.5
        error = (pair[0] - pair[1]).square()
        decibels.append(float(-10 * torch.log10(error[:, ring].mean().clamp(min=1e-8))))
        if inside.sum() >= FEWEST_PIXELS:
            openings.append(float(-10 * torch.log10(error[:, inside].mean().clamp(min=1e-8))))
            skin = luminance(pair[1]).median()
            light = luminance(pair[0])[inside]
            shares = ((light > BRIGHT * skin).float().mean(), (light < DARK * skin).float().mean())
            shown.append((float(light.std()), float(shares[0]), float(shares[1])))
        for kept, picture, square in zip((0, 1), (one, other), pair, strict=True):
            squares[kept].append(square)
            faces[kept].append(aligned_crop(picture, points))
    bytes_of = [
        (255 * torch.stack(s)).round().byte().permute(0, 2, 3, 1).contiguous().numpy() for s in squares
    ]
    mouths = [net.describe(torch.stack(s)) for s in squares]
    whole = [net.describe(torch.stack(f)) for f in faces]
    portrait = net.describe(aligned_crop(real[0], piece.landmarks[0])[None])
    contrast, bright, dark = np.mean(shown, axis=0) if shown else (np.nan,) * 3
    return {
        "mouth_psnr_db": float(np.mean(decibels)),
        "opening_psnr_db": float(np.mean(openings)) if openings else np.nan,
        "opening_contrast": float(contrast),
        "opening_bright_share": float(bright),
        "opening_dark_share": float(dark),
        "mouth_ssim": float(ssim(bytes_of[0], bytes_of[1]).mean()),
        "mouth_distance": float(perceptual_distance(*mouths).mean()),
        "mouth_sharpness": float(sharpness(bytes_of[0]).mean() / sharpness(bytes_of[1]).mean()),
        "face_distance": float(perceptual_distance(*whole).mean()),
        "like_portrait": float(appearance_similarity(whole[0].appearance, portrait.appearance).mean()),
        "flicker": flicker.flicker(),
    }


def held_out(shards: Path, longest: int) -> Iterator[FacePiece]:
    for sample in ShardReader(shards, part="held_out"):
        piece, end = piece_of(sample), slice(0, longest)
        yield FacePiece(
            name=piece.name,
            person=piece.person,
            pictures=piece.pictures[end],
            landmarks=piece.landmarks[end],
            units=piece.units[end],
            expression=piece.expression[end],
            speech=None if piece.speech is None else piece.speech[end],
        )


def sheet(folder: Path, piece: FacePiece, rows: dict[str, np.ndarray]) -> None:
    """Mouths at full size: portrait, then eight moments; one row for every way of making them."""
    moments = np.linspace(1, len(piece.landmarks) - 1, 8).round().astype(int)
    lines = []
    for made in rows.values():
        squares = [
            crops.cut(torch.from_numpy(made[m]), crop_frames(piece.landmarks[m][None], "mouth")[0], SIDE)
            for m in (0, *moments)
        ]
        lines.append(torch.cat(squares, dim=2))
    pixels = (255 * torch.cat(lines, dim=1)).round().byte().permute(1, 2, 0).contiguous().numpy()
    write_image(folder / f"{piece.name}.png", pixels, mark=Mark(tool="benchmarks/painted.py"), overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--denoiser", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--without", nargs="*", default=[], help="leave out each of these in turn, 4 steps")
    parser.add_argument("--ceiling", action="store_true")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    bundle = None
    if given.denoiser:
        denoiser = load_denoiser(given.denoiser)
        bundle = DenoiserBundle(denoiser=denoiser, size_px=denoiser.config.sample_px or 128, speech=None)
    ways: dict[str, tuple[int, tuple[str, ...]] | None] = {"warp": None}
    if bundle is not None:
        ways |= {f"{steps} steps": (steps, ()) for steps in given.steps}
        ways |= {f"without {name}": (given.steps[-1], (name,)) for name in given.without}
    warnings.filterwarnings("ignore", "Mean of empty slice")  # somebody whose lips never part
    net = FaceFeatureNet()
    found: dict[str, dict[str, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    seconds: dict[str, float] = defaultdict(float)
    frames = 0
    for piece in held_out(given.shards, given.frames):
        still = np.repeat(piece.pictures[:1], len(piece.pictures), axis=0)
        rows = {"real": piece.pictures, "still": still}
        for name, way in ways.items():
            started = time.process_time()
            rows[name] = (
                played(piece, None, steps=1, lacks=())
                if way is None
                else played(piece, bundle, steps=way[0], lacks=way[1])
            )
            seconds[name] += time.process_time() - started
        if given.ceiling:
            rows["real between the lips"] = with_real_openings(piece, rows["warp"])
        frames += len(piece.pictures)
        for name, made in rows.items():
            found[name][piece.person].append(compared(piece, made, net))
        if given.sheet:
            given.sheet.mkdir(parents=True, exist_ok=True)
            sheet(given.sheet, piece, rows)
    table = {}
    for name, people in found.items():
        each = [{k: np.nanmean([one[k] for one in pieces]) for k in pieces[0]} for pieces in people.values()]
        table[name] = {k: round(float(np.nanmean([one[k] for one in each])), 4) for k in each[0]}
        table[name]["processor_ms_per_frame"] = round(1000 * seconds[name] / frames, 1)
        print(f"{name:20s}", "  ".join(f"{k} {v}" for k, v in table[name].items()), flush=True)
    print(json.dumps({"people": len(found["warp"]), "frames": frames, "figures": table}))


if __name__ == "__main__":
    main()
