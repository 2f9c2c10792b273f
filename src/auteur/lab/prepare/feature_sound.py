"""Features of the sound alone: acoustic rows of the emotion classifiers, phones of the speech encoder."""

from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.acoustic_features import CHANNELS, acoustic_features
from auteur.lab.data.shards import Sample
from auteur.lab.data.speech.align import Aligner
from auteur.lab.data.speech.build import pronunciation
from auteur.lab.data.speech.corpus import as_int16, frame_labels
from auteur.lab.data.speech.espeak import Espeak
from auteur.lab.data.speech.recognise import Recogniser
from auteur.lab.prepare.features import FeatureInputs

Arrays = Mapping[str, NDArray[Any]]


class VoiceFeature:
    """Log-mel bands, pitch and voicing as the emotion classifiers read them."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        del inputs, folder

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the number of channels."""
        return {"channels": CHANNELS}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample; none without speech."""
        sound = sample.speech()
        return {} if sound is None else {"rows": acoustic_features(sound).rows.astype(np.float16)}


class PhonesFeature:
    """Phones of the record's text, laid over the sound; without a text recognised as English."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        del inputs, folder

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the tools.

        Raises:
            UsageError: PocketSphinx is not installed.
        """
        if find_spec("pocketsphinx") is None:
            raise UsageError("the feature 'phones' needs PocketSphinx; run: pip install 'auteur-face[train]'")
        return {"aligned by": "pocketsphinx", "pronounced by": "espeak-ng"}

    @cached_property
    def _espeak(self) -> Espeak:
        return Espeak()

    @cached_property
    def _aligner(self) -> Aligner:
        return Aligner()

    @cached_property
    def _recogniser(self) -> Recogniser:
        return Recogniser()

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample; none without speech.

        Raises:
            UsageError: Its text needs eSpeak NG, which is not installed.
            InputError: The text does not fit the sound.
        """
        sound = sample.speech()
        if sound is None:
            return {}
        record, samples = sample.record, as_int16(sound)
        if record.get("text"):
            words = pronunciation(self._espeak, record["text"], record.get("language") or "en")
            spans = self._aligner.align(samples, words)
        else:
            spans = self._recogniser.recognise(samples)
        return {"labels": frame_labels(spans, samples.size)}
