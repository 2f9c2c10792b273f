"""Training samples for the face tracker: labelled crops, jittered, degraded and mirrored.

A shard is the pair `NAME.npz` + `NAME.crops.npy` that `auteur.lab.data.face_teacher` writes: `landmarks` [N,
478, 3] in pixels of the picture, `blend` [N, 52], `affine` [N, 2, 3] picture → stored crop, and the crops
themselves as uint8 [N, S, S, 3] (face box × 2.1, upright).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from auteur.face import crops
from auteur.face.landmarker import CROP_SIZE_PX
from auteur.face.pose import MIRROR
from auteur.facs import MEDIAPIPE_BLENDSHAPES, mirrored_name

Picture = NDArray[Any]
"""uint8 [H, W, 3]; OpenCV's stubs leave the type open."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shard:
    """One labelled source: the frames of a clip or a block of photographs."""

    name: str
    identities: tuple[str, ...]
    """One name per row."""
    pictures: Picture
    """[N, S, S, 3], memory-mapped."""
    landmarks: Floats
    """[N, 478, 3] in pixels of the stored crop."""
    blendshapes: Floats
    """[N, 52] in [0, 1]."""


def read_shard(path: Path, identities: tuple[str, ...]) -> Shard:
    """Reads one shard; `identities` names the person in every row."""
    with np.load(path) as table:
        moved = [crops.apply(a, p) for a, p in zip(table["affine"], table["landmarks"], strict=True)]
        return Shard(
            name=path.stem,
            identities=identities,
            pictures=np.load(path.with_suffix(".crops.npy"), mmap_mode="r"),
            landmarks=np.asarray(moved, dtype=np.float32),
            blendshapes=table["blend"].astype(np.float32),
        )


BLENDSHAPE_MIRROR = np.array(
    [MEDIAPIPE_BLENDSHAPES.index(mirrored_name(name, "arkit52")) for name in MEDIAPIPE_BLENDSHAPES]
)
"""[52]: the blendshape on the other side of the face."""


class FaceCrops(IterableDataset[dict[str, torch.Tensor]]):
    """An endless stream of degraded training crops, `face_share` of them faces and the rest face-free.

    Rows are drawn so that every person counts by the square root of their footage, and unusual
    expressions more often than usual ones.
    """

    def __init__(self, shards: list[Shard], *, seed: int, face_share: float = 0.9) -> None:
        self.shards, self.seed, self.face_share = shards, seed, face_share
        self.rows = [(s, r) for s, shard in enumerate(shards) for r in range(len(shard.landmarks))]
        self.weights = _row_weights(shards)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        random = np.random.default_rng([self.seed, worker.id if worker else 0])
        cv2.setNumThreads(0)
        while True:
            yield from self.samples(4096, random)

    def samples(self, count: int, random: Generator) -> Iterator[dict[str, torch.Tensor]]:
        """Yields samples (`sample`), `count` of them."""
        for pick in random.choice(len(self.rows), size=count, p=self.weights):
            shard_index, row = self.rows[pick]
            yield self.sample(shard_index, row, random)

    def sample(self, shard_index: int, row: int, random: Generator) -> dict[str, torch.Tensor]:
        """Returns a sample: `picture` [3, 160, 160], `landmarks` [478, 3], `blendshapes` [52], `face` []."""
        shard = self.shards[shard_index]
        picture, landmarks = np.asarray(shard.pictures[row]), shard.landmarks[row]
        if random.random() > self.face_share:
            crop, face = face_free_crop(picture, landmarks, random), 0.0
            blendshapes = np.zeros_like(shard.blendshapes[row])
            landmarks = np.zeros_like(landmarks)
        else:
            crop, landmarks = jittered_crop(picture, landmarks, random)
            blendshapes, face = shard.blendshapes[row], 1.0
            if random.random() < 0.5:
                crop, landmarks, blendshapes = mirrored(crop, landmarks, blendshapes)
        crop = spoil(crop, random)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            "landmarks": torch.from_numpy(((landmarks + 0.5 * _XY) / CROP_SIZE_PX).astype(np.float32)),
            "blendshapes": torch.from_numpy(blendshapes),
            "face": torch.tensor(face),
        }


class MovedPairs(IterableDataset[dict[str, torch.Tensor]]):
    """An endless stream of pairs: one face twice, moved by a known amount between, in the same light.

    Rows of the shards come in groups of `views` (`auteur.lab.data.warped_faces`).
    """

    def __init__(self, shards: list[Shard], *, seed: int, views: int) -> None:
        self.shards, self.seed, self.views = shards, seed, views
        self.groups = [
            (s, row) for s, shard in enumerate(shards) for row in range(0, len(shard.landmarks), views)
        ]

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        random = np.random.default_rng([self.seed, 1, worker.id if worker else 0])
        cv2.setNumThreads(0)
        while True:
            yield from self.samples(len(self.groups), random)

    def samples(self, count: int, random: Generator) -> Iterator[dict[str, torch.Tensor]]:
        """Yields pairs (`sample`), `count` of them; no group twice before all were drawn."""
        for start in range(0, count, len(self.groups)):
            for pick in random.permutation(len(self.groups))[: count - start]:
                shard_index, first = self.groups[pick]
                chosen = first + random.choice(self.views, size=2, replace=False)
                yield self.sample(shard_index, chosen, random)

    def sample(
        self, shard_index: int, rows: NDArray[np.integer], random: Generator
    ) -> dict[str, torch.Tensor]:
        """Returns `picture` [2, 3, 160, 160] and `landmarks` [2, 478, 3]."""
        shard = self.shards[shard_index]
        seed, mirror = int(random.integers(2**31)), random.random() < 0.5
        pictures, points = [], []
        frames = shard.landmarks[rows if random.random() < 0.5 else [rows[0], rows[0]]]
        for row, frame in zip(rows, frames, strict=True):  # half of the pairs: the crop stays, as in tracking
            same = np.random.default_rng(seed)
            crop, landmarks = jittered_crop(
                np.asarray(shard.pictures[row]), shard.landmarks[row], same, framed_by=frame
            )
            if mirror:
                crop, landmarks, _ = mirrored(crop, landmarks, shard.blendshapes[row])
            pictures.append(torch.from_numpy(np.ascontiguousarray(spoil(crop, same).transpose(2, 0, 1))))
            points.append(torch.from_numpy(((landmarks + 0.5 * _XY) / CROP_SIZE_PX).astype(np.float32)))
        return {"picture": torch.stack(pictures), "landmarks": torch.stack(points)}


_XY = np.array([1, 1, 0], dtype=np.float32)


SOURCE_SHARES = {"photos": 0.35, "ict": 0.12}
"""Share of the samples for photographs and renders, by how a shard's name begins; clips get the rest."""


def _source(shard: Shard) -> str:
    return next((kind for kind in SOURCE_SHARES if shard.name.startswith(kind)), "clips")


def _row_weights(shards: list[Shard]) -> NDArray[np.float64]:
    people = np.array([name for shard in shards for name in shard.identities])
    kinds = np.array([_source(shard) for shard in shards for _ in shard.identities])
    values = np.concatenate([shard.blendshapes for shard in shards])
    _, inverse, counts = np.unique(people, return_inverse=True, return_counts=True)
    unusual = np.abs((values - values.mean(0)) / np.maximum(values.std(0), 0.03)).mean(axis=1)
    weights = (0.5 + unusual / unusual.mean()) / np.sqrt(counts[inverse])
    present = set(kinds.tolist())
    rest = 1 - sum(share for kind, share in SOURCE_SHARES.items() if kind in present)
    for kind in present:
        weights[kinds == kind] *= SOURCE_SHARES.get(kind, rest) / weights[kinds == kind].sum()
    return weights / weights.sum()


def jittered_crop(
    picture: Picture, landmarks: Floats, random: Generator, *, framed_by: Floats | None = None
) -> tuple[Picture, Floats]:
    """Returns a crop [160, 160, 3] as far off as crops in tracking, and the landmarks [478, 3] in it.

    The crop is framed by the landmarks, or by others, [478, 3].
    """
    frame = crops.frame_of_landmarks(landmarks if framed_by is None else framed_by)
    wild = 3.0 if random.random() < 0.15 else 1.0
    shift = random.normal(0, 0.025 * wild, 2) * frame.side_px
    frame = crops.CropFrame(
        (frame.center_px[0] + shift[0], frame.center_px[1] + shift[1]),
        frame.side_px * float(np.exp(random.normal(0, 0.06 * wild))),
        frame.roll_rad + float(random.normal(0, 0.06 * wild)),
    )
    matrix = frame.matrix(CROP_SIZE_PX)
    return warp(picture, matrix, random), crops.apply(matrix, landmarks).astype(np.float32)


def warp(picture: Picture, matrix: NDArray[np.floating], random: Generator) -> Picture:
    """Returns the crop [160, 160, 3] that an affine map takes out of a picture; the border is random."""
    border = cv2.BORDER_REPLICATE if random.random() < 0.3 else cv2.BORDER_CONSTANT
    size = (CROP_SIZE_PX, CROP_SIZE_PX)
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)


def mirrored(crop: Picture, landmarks: Floats, blendshapes: Floats) -> tuple[Picture, Floats, Floats]:
    """Returns the mirrored crop with left and right exchanged in its labels."""
    flipped = landmarks[MIRROR].copy()
    flipped[:, 0] = CROP_SIZE_PX - 1 - flipped[:, 0]
    return crop[:, ::-1], flipped, blendshapes[BLENDSHAPE_MIRROR]


def face_free_crop(picture: Picture, landmarks: Floats, random: Generator) -> Picture:
    """Returns a crop without a usable face: beside it, torn into tiles, or made of noise."""
    kind = random.random()
    frame = crops.frame_of_landmarks(landmarks)
    if kind < 0.45:  # beside the face, at any scale: at most a corner of it is visible
        angle = random.uniform(0, 2 * np.pi)
        side = frame.side_px * random.uniform(0.25, 1.0)
        away = frame.side_px * random.uniform(0.55, 0.8) + 0.25 * side
        center = (frame.center_px[0] + away * np.cos(angle), frame.center_px[1] + away * np.sin(angle))
        beside = crops.CropFrame(center, side, float(random.normal(0, 0.3)))
        return cv2.warpAffine(
            picture, beside.matrix(CROP_SIZE_PX), (CROP_SIZE_PX, CROP_SIZE_PX), borderMode=cv2.BORDER_REFLECT
        )
    if kind < 0.6:  # far too close: a piece of skin, an eye, a mouth
        side = frame.side_px * random.uniform(0.08, 0.22)
        spot = landmarks[random.integers(len(landmarks)), :2]
        close = crops.CropFrame((float(spot[0]), float(spot[1])), side, float(random.uniform(-3, 3)))
        return warp(picture, close.matrix(CROP_SIZE_PX), random)
    if kind < 0.85:
        return _tiles(warp(picture, frame.matrix(CROP_SIZE_PX), random), random)
    cells = int(random.integers(2, 40))
    noise = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return cv2.resize(noise, (CROP_SIZE_PX, CROP_SIZE_PX), interpolation=random.choice([0, 1, 2]))


def _tiles(crop: Picture, random: Generator) -> Picture:
    count = int(random.choice([4, 5, 8]))
    size = CROP_SIZE_PX // count
    tiles = crop.reshape(count, size, count, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    tiles = tiles[random.permutation(len(tiles))]
    return tiles.reshape(count, count, size, size, 3).swapaxes(1, 2).reshape(crop.shape)


def spoil(crop: Picture, random: Generator) -> Picture:
    """Returns the crop [H, W, 3] with a worse camera, light or codec."""
    crop = np.ascontiguousarray(crop)
    if random.random() < 0.15:
        crop = _cover(crop, random)
    if random.random() < 0.15:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if random.random() < 0.75:
        crop = cv2.LUT(crop, _tone_curves(random))
    if random.random() < 0.15:  # a shadow or a lamp from one side
        ramp = np.linspace(-1, 1, crop.shape[1], dtype=np.float32) * random.uniform(-0.4, 0.4)
        ramp = (1 + ramp).clip(0, 2)
        field = np.repeat(np.tile(ramp, (len(crop), 1))[..., None], 3, axis=2)
        crop = cv2.multiply(crop, field if random.random() < 0.5 else field.swapaxes(0, 1), dtype=cv2.CV_8U)
    if random.random() < 0.25:
        crop = _lose_detail(crop, random)
    if random.random() < 0.2:
        crop = cv2.add(crop, _noise(crop.shape, random), dtype=cv2.CV_8U)
    if random.random() < 0.2:
        quality = int(random.integers(15, 70))
        jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        crop = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return crop


def _tone_curves(random: Generator) -> Picture:
    """Random gain, gamma, offset and tint, sometimes low light, as a table [256, 1, 3]."""
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(random.normal(0, 0.25))
    gain = np.exp(random.normal(0, 0.25) + random.normal(0, 0.08, 3))
    levels = (levels - 0.5) * gain + 0.5 + random.normal(0, 0.08)
    if random.random() < 0.12:
        levels = levels * random.uniform(0.1, 0.4)
    return (levels.clip(0, 1) * 255).astype(np.uint8)[:, None]


_GRAIN = np.random.default_rng(0).normal(0, 1, 1 << 20).astype(np.float32)


def _noise(shape: tuple[int, ...], random: Generator) -> Floats:
    size = int(np.prod(shape))
    start = int(random.integers(len(_GRAIN) - size))
    return (_GRAIN[start : start + size] * random.uniform(3, 15)).reshape(shape)


def _lose_detail(crop: Picture, random: Generator) -> Picture:
    height, width = crop.shape[:2]
    if random.random() < 0.5:
        small = random.uniform(0.2, 0.7)
        crop = cv2.resize(crop, (int(width * small), int(height * small)), interpolation=cv2.INTER_AREA)
        return cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(crop, (0, 0), random.uniform(0.5, 2.0))


def _cover(crop: Picture, random: Generator) -> Picture:
    height, width = crop.shape[:2]
    mask = np.zeros((height, width), dtype=np.uint8)
    center = (int(random.integers(width)), int(random.integers(height)))
    axes = (int(random.integers(8, width // 3)), int(random.integers(8, height // 3)))
    cv2.ellipse(mask, center, axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
    colour = random.integers(0, 256, 3).astype(np.float32)
    texture = np.broadcast_to(colour, crop.shape) + _noise(crop.shape, random)
    covered = crop.copy()
    covered[mask > 0] = texture[mask > 0].clip(0, 255).astype(np.uint8)
    return covered
