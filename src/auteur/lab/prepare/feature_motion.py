"""Features "motion" and "speech": what the recipes of motion read (`auteur.lab.data.motion_tracks`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from auteur.face.action_units import action_units, neutral_of
from auteur.face.pose import head_pose, without_pose
from auteur.lab.data.motion_tracks import BLINK, RATE, closed_neutral, resting_frames, speech_copies
from auteur.lab.data.shards import Sample
from auteur.lab.data.splits import fold_of
from auteur.lab.prepare.features import FeatureInputs
from auteur.motion.au_basis import AUBasis
from auteur.provenance.mark import hash_file
from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS
from auteur.speech.features import CompactSpeechFeatures
from auteur.weights import load_shipped, path_of, version

Arrays = Mapping[str, NDArray[Any]]


class MotionFeature:
    """Displacement from the clip's own rest; gaze belongs to the gaze model and is left out."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._opening = load_shipped(AUBasis(), "au_basis").opening.numpy()

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the version of the basis, which closes the lips of the rest."""
        return {"au_basis": version("au_basis")}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample."""
        landmarks = sample.array("landmarks").astype(np.float64)
        blendshapes = sample.array("blendshapes").astype(np.float64)
        face = without_pose(landmarks, head_pose(landmarks))
        rest = resting_frames(face, blendshapes)
        neutral = closed_neutral(face, rest, self._opening)
        displacement = face - neutral
        displacement[:, [*RIGHT_IRIS, *LEFT_IRIS]] = 0
        units = action_units(
            landmarks, blendshapes, rate=RATE, neutral=neutral_of(landmarks[rest], blendshapes[rest])
        )
        return {
            "displacement": displacement.astype(np.float16),
            "neutral": neutral.astype(np.float32),
            "units": units.values.astype(np.float16),
            "blink": blendshapes[:, BLINK].mean(1).astype(np.float32),
        }


class SpeechFeature:
    """The space "lips91+logmel81" of the shipped lip encoder, or that of another compact encoder."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._encoder = CompactSpeechFeatures.from_file(_weights(inputs))
        self._folds = [CompactSpeechFeatures.from_file(path) for path in inputs.fold_encoders]
        self._copies = inputs.copies

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the encoders' hashes and the number of copies."""
        return {
            "speech_encoder": hash_file(_weights(inputs))[:12],
            "fold_encoders": [hash_file(path)[:12] for path in inputs.fold_encoders],
            "copies": inputs.copies,
        }

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample; none without speech."""
        sound = sample.speech()
        if sound is None:
            return {}
        encoder = self._encoder
        if self._folds and sample.part == "train":
            encoder = self._folds[fold_of(sample.record["person"], len(self._folds))]
        analysis = encoder.analyse(sound, RATE)
        found = {
            "values": analysis.with_bands.numpy().astype(np.float32),
            "loudness": analysis.bands.numpy()[:, -1].astype(np.float32),
        }
        if self._copies:
            seed = crc32(sample.key.encode())
            found["copies"] = speech_copies(sound, encoder, count=self._copies, seed=seed)
        return found


def _weights(inputs: FeatureInputs) -> Path:
    return inputs.speech_encoder or path_of("lip_encoder")
