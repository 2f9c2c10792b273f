"""The shipped motion of the face: a conditional flow over coefficients of mesh displacement."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from auteur.motion.conditional_flow import ConditionalFlow, FlowConfig, FlowSampling
from auteur.motion.face_model import CONDITIONING_CONTROLS, FaceConditions
from auteur.motion.style import STYLE_STATISTICS
from auteur.signals.topology import MEDIAPIPE_COUNT
from auteur.weights import SavedModel

SPEECH_SPACE = "lips91+logmel81"
"""Features of speech that the shipped flow is conditioned on (`SpeechAnalysis.with_bands`)."""

SPEECH_SAMPLING = FlowSampling(temperature=0.35, speech_guidance=1.8)
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
    """`SPEECH_SPACE`, or a kind of transformers model such as "hubert" or "wav2vec2"."""
    frames_per_sec: int = 25
    """Rate of the tracks that it was trained on."""


class FaceFlow(SavedModel):
    """Speech, Action Units and style in, displacement of the mesh out."""

    kind = "face_flow"
    config_class = FaceFlowConfig

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

    @property
    def speech_space(self) -> str:
        """Name of the speech features."""
        return self.config.speech_space

    def draw(
        self,
        given: FaceConditions,
        *,
        style: Tensor,
        seed: int,
        purpose: str,
        sampling: FlowSampling,
        window_frames: int = 1024,
    ) -> Tensor:
        """Returns coefficients [T, K]; see `FaceModel.draw`."""
        units = given.units
        if given.speech is None and units is None:
            units = torch.full((given.frames, self.config.flow.action_units), torch.nan)
        return self.flow.sample(
            given.speech,
            units,
            style=style,
            seed=seed,
            purpose=purpose,
            sampling=sampling,
            window_frames=window_frames,
        )

    def displacement(self, coefficients: Tensor) -> Tensor:
        """Returns the displacement from neutral [..., 478, 3] in millimetres of coefficients [..., K]."""
        return torch.einsum("...k,kpc->...pc", coefficients, self.basis)
