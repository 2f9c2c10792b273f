"""What a prepared corpus can hold beyond the common record: one row per feature.

`auteur prepare -o SHARDS --features NAME` adds a feature to finished shards (`auteur.lab.prepare.features`);
recipes name those that they read. Arrays have a row per frame at 25 per second unless stated otherwise.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auteur.errors import UsageError


@dataclass(frozen=True)
class Feature:
    """One row of the table."""

    sentence: str
    """What it is, for messages and help."""
    members: Mapping[str, str]
    """Type and shape by name; the member of a sample is "FEATURE.NAME". T frames; [] where there is one."""
    compute: str
    """ "module:class" below `auteur.lab.prepare`: made of `FeatureInputs`, with `settings`, called with a
    sample."""
    needs: tuple[str, ...] = ()
    """Fields of `FeatureInputs` that must be given; options of the command."""
    space: str = ""
    """Name of the space of its numbers, where it does not follow from what it needs."""


_LATENTS = {"clean": "float16 [T, 4, S/8, S/8]", "reference": "float16 [4, S/8, S/8]"}

FEATURES: dict[str, Feature] = {
    "motion": Feature(
        "displacement of the face from the clip's own rest, Action Units from the same rest, lids",
        {
            "displacement": "float16 [T, 478, 3] mm", "neutral": "float32 [478, 3] mm",
            "units": "float16 [T, C]", "blink": "float32 [T]",
        },
        "feature_motion:MotionFeature", space="facs",
    ),
    "speech": Feature(
        "features of the compact encoder with log-mel bands, and of augmented copies of the sound",
        {"values": "float32 [T, D]", "loudness": "float32 [T]", "copies": "float16 [N, T, D]"},
        "feature_motion:SpeechFeature",
    ),
    "voice": Feature(
        "acoustic features of the emotion classifiers, 50 per second",
        {"rows": "float16 [N, C]"}, "feature_sound:VoiceFeature",
    ),
    "phones": Feature(
        "phone classes, 100 per second: of the text where there is one, else recognised",
        {"labels": "uint8 [N]"}, "feature_sound:PhonesFeature",
    ),
    "watermark": Feature(
        "marked frames after real codecs, and the pattern that was put into them",
        {"luma": "uint8 [N, 256, 256]", "pattern": "int8 [N, 128, 128]"},
        "feature_watermark:WatermarkFeature",
    ),
    "hubert": Feature(
        "last hidden states of a HuBERT of transformers",
        {"values": "float16 [T, D]"}, "feature_pretrained:HubertFeature", ("hubert",),
    ),
    "wav2vec": Feature(
        "last hidden states of a wav2vec 2.0 of transformers",
        {"values": "float16 [T, D]"}, "feature_pretrained:Wav2VecFeature", ("wav2vec",),
    ),
    "latents": Feature(
        "latents of frames and reference picture around the head",
        _LATENTS, "feature_pretrained:LatentFeature", ("vae",),
    ),
    "identity": Feature(
        "CLIP's image embedding of the reference picture",
        {"identity": "float16 [1, D]"}, "feature_pretrained:IdentityFeature", ("clip",),
    ),
    "drawings": Feature(
        "drawn landmarks of frames and reference picture, in the square of the latents",
        {"landmarks": "uint8 [T, 3, S, S]", "landmarks_reference": "uint8 [3, S, S]"},
        "feature_pretrained:DrawingFeature",
    ),
    "au_drawings": Feature(
        "Action Units drawn on the reference picture's face, in the square of the latents",
        {"au": "uint8 [T, 3, S, S]"}, "feature_pretrained:AUDrawingFeature", space="facs",
    ),
    "published": Feature(
        "inputs of Hallo or MEMO, and drawn Action Units for an adapter",
        {
            **_LATENTS, "audio": "float16 [T, W, layers * D]", "au": "uint8 [T, 3, S, S]",
            "regions": "uint8 [T, 3, S/8, S/8]", "expression": "float32 [T, 9]",
        },
        "feature_pretrained:PublishedFeature", ("published",),
    ),
    "flame": Feature(
        "FLAME expression and jaw that DECA, EMOCA or SMIRK measured",
        {"expression": "float32 [T, 50]", "jaw": "float32 [T, 3]"},
        "feature_flame:FlameFeature", ("measured", "dataset"), space="flame50",
    ),
    "views": Feature(
        "the compact denoiser's clips: a mouth, and the same frames warped from another moment or, of a "
        "photograph, from closed lips",
        {
            "clean": "uint8 [T, 3, S, S]", "warped": "uint8 [T, 4, S, S]", "region": "uint8 [T, 1, S, S]",
            "landmarks": "uint8 [T, 3, S, S]", "reference": "uint8 [3, S, S]",
            "landmarks_reference": "uint8 [3, S, S]", "au": "float32 [T, 24]",
            "expression": "float32 [T, 50]", "audio": "float16 [T, W, D]",
        },
        "feature_views:ViewsFeature", space="compact50",
    ),
}  # fmt: skip
"""By name. A feature of several clips per sample, such as "views", has members "FEATURE.CLIP.NAME"."""


def named_features(names: Sequence[str]) -> dict[str, Feature]:
    """Returns rows of the table.

    Raises:
        UsageError: There is none of a name.
    """
    for name in names:
        if name not in FEATURES:
            raise UsageError(f"there is no feature {name!r}; choose from {', '.join(FEATURES)}")
    return {name: FEATURES[name] for name in names}


def command_for(folder: Path, name: str) -> str:
    """Returns the command that adds a feature to the shards of a folder."""
    given = "".join(
        " DATASET" if need == "dataset" else f" --{need.replace('_', '-')} FOLDER"
        for need in sorted(FEATURES[name].needs, key=lambda need: need != "dataset")
    )
    return f"auteur prepare{given} -o {shlex.quote(str(folder))} --features {name}"
