"""The `mediapipe` backend: Google's Face Landmarker through the Tasks API, with the user's own model file."""

import hashlib
from pathlib import Path

import numpy as np

from auteur.errors import InputError, UsageError, WeightsError
from auteur.face.backend import FaceReading, Picture

KNOWN_SHA256 = "b261925d4aad812b47a0e8d58c1baa1223270a5d1f663d78338bc881c003879d"
"""The float16 Face Landmarker bundle, version 1 (Apache-2.0), that this project was measured against."""

_SAME_FACE = 0.5
"""A face is the one of the frame before if its centre moved by less than this share of its size."""


class MediaPipeBackend:
    """Reads faces with MediaPipe, which finds up to `max_faces` of them.

    Args:
        model: Path of a `face_landmarker.task` file.
        max_faces: Largest number of faces, at least 1.

    Raises:
        UsageError: MediaPipe is not installed.
        InputError: The file is missing.
        WeightsError: It is not the known file.
    """

    name = "mediapipe"

    def __init__(self, model: Path | str, *, max_faces: int = 5) -> None:
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise UsageError(
                "the mediapipe backend is not installed: pip install 'auteur-face[mediapipe]'"
            ) from error
        path = Path(model)
        if not path.is_file():
            raise InputError(f"no model file at {str(path)!r}; give the path of a face_landmarker.task")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != KNOWN_SHA256:
            raise WeightsError(
                f"{str(path)!r} has SHA-256 {found[:12]}…, not the known {KNOWN_SHA256[:12]}…; "
                "give the float16 bundle, version 1"
            )
        self._mediapipe = mediapipe
        self._landmarker = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=content),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=max_faces,
                output_face_blendshapes=True,
            )
        )

    def close(self) -> None:
        """Frees MediaPipe's threads."""
        self._landmarker.close()

    def find(self, picture: Picture) -> list[FaceReading]:
        """Returns every face in a picture [H, W, 3], the largest first; confidence is 1: it gives none."""
        height, width = picture.shape[:2]
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
        )
        result = self._landmarker.detect(image)
        scale = np.array([width, height, width], dtype=np.float32)
        readings = [
            FaceReading(
                landmarks=np.array([[p.x, p.y, p.z] for p in points], dtype=np.float32) * scale - _HALF_PIXEL,
                blendshapes=np.array([c.score for c in categories], dtype=np.float32),
                confidence=1.0,
            )
            for points, categories in zip(result.face_landmarks, result.face_blendshapes, strict=True)
        ]
        return sorted(readings, key=lambda reading: -reading.size_px)

    def follow(self, picture: Picture, last: FaceReading) -> FaceReading | None:
        """Returns the face nearest to its last place, or None when none is near."""
        readings = self.find(picture)
        if not readings:
            return None
        moved = [np.hypot(*np.subtract(r.center_px, last.center_px)) / last.size_px for r in readings]
        best = int(np.argmin(moved))
        return readings[best] if moved[best] < _SAME_FACE else None


_HALF_PIXEL = np.array([0.5, 0.5, 0.0], dtype=np.float32)
"""MediaPipe measures from the picture's edge, this project from the centre of its first pixel."""
