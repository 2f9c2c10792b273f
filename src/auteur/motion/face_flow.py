"""The shipped motion of the face: a conditional flow over coefficients of mesh displacement."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from auteur.facs import ACTION_UNITS, CONTROLS
from auteur.motion.conditional_flow import ConditionalFlow, FlowConfig, FlowSampling
from auteur.motion.style import STYLE_STATISTICS
from auteur.signals.topology import MEDIAPIPE_COUNT
from auteur.weights import load_model, metadata_of

KIND = "face_flow"

SPEECH_SPACE = "lips91+logmel81"
"""Features of speech that the shipped flow is conditioned on (`SpeechAnalysis.with_bands`)."""

_BY_OTHERS = (43, 45, 46, 61, 62, 63, 64)
CONDITIONING_CONTROLS = tuple(
    name
    for name in CONTROLS
    if not any(name in ACTION_UNITS[n].controls for n in _BY_OTHERS if n in ACTION_UNITS)
)
"""Controls of the convention "facs" that condition the flow: all but lids and gaze, which have models of
their own."""

SPEECH_SAMPLING = FlowSampling(temperature=0.5, speech_guidance=1.7)
"""Sampling of the lower face from speech alone, at the spread of people's lips (`benchmarks/motion.py`)."""

BROW_SAMPLING = FlowSampling(temperature=0.9, speech_guidance=1.7)
"""Sampling of the brows from speech alone. Speech hardly predicts them, so they are drawn nearly at full
temperature, which would cost the lips their agreement with the sound."""

PERFORMANCE_SAMPLING = FlowSampling(temperature=0.2)
"""Sampling where Action Units specify the face, which leaves little variation."""


@dataclass(frozen=True, kw_only=True)
class FaceFlowConfig:
    """Sizes, and the name of the speech features."""

    flow: FlowConfig = field(
        default_factory=lambda: FlowConfig(
            channels=40, style=len(STYLE_STATISTICS), action_units=len(CONDITIONING_CONTROLS)
        )
    )
    speech_space: str = SPEECH_SPACE


class FaceFlow(nn.Module):
    """Speech, Action Units and style in, displacement of the mesh out."""

    basis: Tensor
    """[K, 478, 3] in millimetres of the canonical head, per unit of each coefficient."""

    def __init__(self, config: FaceFlowConfig) -> None:
        super().__init__()
        self.config = config
        self.flow = ConditionalFlow(config.flow)
        self.register_buffer("basis", torch.zeros(config.flow.channels, MEDIAPIPE_COUNT, 3))

    @property
    def speech_features(self) -> int:
        """Numbers per frame of speech."""
        return self.config.flow.speech_features

    def displacement(self, coefficients: Tensor) -> Tensor:
        """Returns the displacement from neutral [..., 478, 3] in millimetres of coefficients [..., K]."""
        return torch.einsum("...k,kpc->...pc", coefficients, self.basis)


def load_face_flow(path: Path | str) -> FaceFlow:
    """Returns the flow saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or holds another kind of model.
    """
    return load_model(path, KIND, FaceFlowConfig, FaceFlow)


def face_flow_metadata(config: FaceFlowConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps a flow's sizes beside its weights."""
    return metadata_of(KIND, config)
