"""Feature "views": the compact denoiser's clips (`auteur.lab.data.face_views`)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.lab.data.face_views import ViewSettings, views_of_sample
from auteur.lab.data.photo_views import views_of_photograph
from auteur.lab.data.shards import Sample
from auteur.lab.prepare.features import FeatureInputs
from auteur.weights import version


class ViewsFeature:
    """Several clips per sample, of spans and their mirror images; members "CLIP.NAME"."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._settings = ViewSettings(size_px=inputs.view_px)

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns how faces are cut, and the version of the vectors' space."""
        settings = asdict(ViewSettings(size_px=inputs.view_px))
        return {**settings, "views": list(settings["views"]), "compact50": version("expression_space")}

    def __call__(self, sample: Sample) -> Mapping[str, NDArray[Any]]:
        """Returns the arrays of a sample.

        Raises:
            InputError: It has no pictures, or is a photograph of a mouth that shows no teeth.
        """
        if "mp4" not in sample.members:
            raise InputError("it has no pictures")
        is_photograph = sample.record.get("medium") == "picture"
        made = (views_of_photograph if is_photograph else views_of_sample)(sample, self._settings)
        return {
            f"{clip}.{name}": tensor.numpy() for clip, tensors in made for name, tensor in tensors.items()
        }
