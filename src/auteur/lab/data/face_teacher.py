r"""Labels pictures and videos with the teacher and stores the data of the tracker's recipes.

    python -m auteur.lab.data.face_teacher --teacher face_landmarker.task --clips clips/manifest.csv \
        --photos PHOTOS --out LABELS

`LABELS` receives, per clip or block of photographs, a shard (`auteur.lab.data.face_crops`), `identities.csv`,
and whole scenes for the detector (`scenes/*.jpg` + `scenes.csv`). Pictures stay with the owner of the
footage.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.progress import track

from auteur.face import crops
from auteur.face.backend import FaceReading, Picture
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.lab.data.splits import person_of_photo
from auteur.media import VideoReader, read_image

STORED_SIZE_PX = 224
STORED_TO_FACE = 2.1
SCENE_SIZE_PX = 640
PHOTOS_PER_SHARD = 600


@dataclass(frozen=True)
class TeacherRecipe:
    """Paths of the footage and of its labels."""

    teacher: Path
    """MediaPipe's `face_landmarker.task`."""
    out: Path
    """Folder to fill; created if missing."""
    clips: Path | None = None
    """CSV with the columns file (relative to the CSV's parent folder) and identity."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs, `Person_Name_0001.jpg`."""
    scenes_per_clip: int = 8


@dataclass(frozen=True)
class FaceScene:
    """A whole picture for the detector, and every face in it."""

    identity: str
    picture: Picture
    faces: list[FaceReading]


def stored_crop(picture: Picture, reading: FaceReading) -> tuple[Picture, NDArray[np.floating]]:
    """Returns an upright crop uint8 [224, 224, 3] around a face and the [2, 3] map picture → crop."""
    box = crops.frame_of_landmarks(reading.landmarks)
    frame = crops.CropFrame(box.center_px, box.side_px * STORED_TO_FACE / crops.CROP_TO_FACE)
    return crops.cropped(picture, frame, STORED_SIZE_PX), frame.matrix(STORED_SIZE_PX)


def write_shard(path: Path, pictures: Iterator[Picture], teacher: MediaPipeBackend) -> None:
    """Labels every picture and writes `path`.npz + `path`.crops.npy; pictures without a face are left out."""
    index: list[int] = []
    readings: list[FaceReading] = []
    stored: list[tuple[Picture, NDArray[np.floating]]] = []
    for number, picture in enumerate(pictures):
        found = teacher.find(picture)
        if found:
            index.append(number)
            readings.append(found[0])
            stored.append(stored_crop(picture, found[0]))
    if not index:
        return
    np.save(path.with_suffix(".crops.npy"), np.stack([crop for crop, _ in stored]))
    np.savez(
        path.with_suffix(".npz"),
        index=np.array(index),
        landmarks=np.stack([r.landmarks for r in readings]),
        blend=np.stack([r.blendshapes for r in readings]),
        affine=np.stack([matrix for _, matrix in stored]),
    )


class SceneWriter:
    """Writes scenes as JPEG files and a row per face to `scenes.csv`; a face-free scene has one empty row."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "scenes"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "scenes.csv").open("w", encoding="utf-8", newline="")
        self._table = csv.writer(self._file)
        self._table.writerow(["file", "identity", "center_x", "center_y", "side", "roll"])
        self._count = 0

    def write(self, scene: FaceScene) -> None:
        """Stores one scene, its longer side at most 640 px."""
        height, width = scene.picture.shape[:2]
        scale = min(1.0, SCENE_SIZE_PX / max(height, width))
        size = (round(width * scale), round(height * scale))
        small = cv2.resize(scene.picture, size, interpolation=cv2.INTER_AREA)
        name = f"{self._count:06d}.jpg"
        self._count += 1
        jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        (self.folder / name).write_bytes(jpeg.tobytes())
        if not scene.faces:
            self._table.writerow([name, scene.identity, "", "", "", ""])
        for face in scene.faces:
            frame = crops.frame_of_landmarks(face.landmarks, crop_to_face=scale)
            x, y = (value * scale for value in frame.center_px)
            self._table.writerow([name, scene.identity, x, y, frame.side_px, frame.roll_rad])

    def close(self) -> None:
        """Ends the table."""
        self._file.close()


def clip_pictures(path: Path) -> Iterator[Picture]:
    """Yields the frames of a clip."""
    with VideoReader(path) as video:
        for frame in video:
            yield frame.image


def label(recipe: TeacherRecipe) -> None:
    """Labels all footage of the recipe."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    teacher = MediaPipeBackend(recipe.teacher, max_faces=5)
    scenes = SceneWriter(recipe.out)
    clips: list[tuple[Path, str]] = []
    if recipe.clips:
        with recipe.clips.open(encoding="utf-8") as table:
            root = recipe.clips.parent.parent
            clips = [(root / row["file"], row["identity"]) for row in csv.DictReader(table)]
    _note_identities(recipe.out / "identities.csv", {path.stem: person for path, person in clips})
    for path, person in track(clips, "clips"):
        pictures = list(clip_pictures(path))
        write_shard(recipe.out / path.stem, iter(pictures), teacher)
        for picture in pictures[:: max(1, len(pictures) // recipe.scenes_per_clip)]:
            scenes.write(FaceScene(person, picture, teacher.find(picture)))
    photos = sorted(path for folder in recipe.photos for path in folder.glob("*.jpg"))
    for start in track(range(0, len(photos), PHOTOS_PER_SHARD), "photos"):
        block = photos[start : start + PHOTOS_PER_SHARD]
        shard = recipe.out / f"photos_{start:05d}"
        shard.with_suffix(".txt").write_text("\n".join(path.name for path in block), encoding="utf-8")
        write_shard(shard, (read_image(path) for path in block), teacher)
        for path in block:
            picture = read_image(path)
            scenes.write(FaceScene(person_of_photo(path.name), picture, teacher.find(picture)))
    scenes.close()


def _note_identities(path: Path, people: dict[str, str]) -> None:
    """Writes the person of every shard, those of earlier runs in the same folder too."""
    noted: dict[str, str] = {}
    if path.exists():
        with path.open(encoding="utf-8") as table:
            noted = {row["shard"]: row["identity"] for row in csv.DictReader(table)}
    with path.open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([("shard", "identity"), *(noted | people).items()])


if __name__ == "__main__":
    label(tyro.cli(TeacherRecipe))
