"""Feature "flame": FLAME expression and jaw of DECA, EMOCA or SMIRK, for shards prepared without them."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.lab.corpora import Recording, open_corpus
from auteur.lab.data.shards import INDEX, Sample, read_json
from auteur.lab.prepare.external_measurements import at_frames, read_external
from auteur.lab.prepare.features import FeatureInputs


class FlameFeature:
    """Numbers of a tool's files, read by time; frames that the tool did not see are NaN."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        options = read_json(folder / INDEX)["options"]
        annotations = options["annotations"]
        corpus = open_corpus(
            options["kind"],
            inputs.needed("dataset"),
            annotations=None if annotations is None else Path(annotations),
            measured=inputs.needed("measured"),
        )
        self._recordings: dict[str, Recording] = {one.key: one for one in corpus.recordings()}

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the space; the files themselves are not part of it."""
        return {"space": "flame50"}

    def __call__(self, sample: Sample) -> Mapping[str, NDArray[Any]]:
        """Returns the arrays of a sample.

        Raises:
            InputError: The recording is gone from the corpus, or no tool measured it.
        """
        record = sample.record
        recording = self._recordings.get(record["recording"])
        if recording is None:
            raise InputError(f"the corpus has no recording {record['recording']!r} any more")
        found = read_external(recording).expression
        if found is None:
            raise InputError(f"no tool measured {recording.key!r}")
        _, expression, jaw = found
        start, frames = Fraction(record["start_sec"]), int(record["frames"])
        arrays = {"expression": at_frames(expression, start, frames).values}
        if jaw is not None:
            arrays["jaw"] = at_frames(jaw, start, frames).values
        return {name: values.astype("float32") for name, values in arrays.items()}
