"""Tiny models with every weight random."""

from typing import TypeVar

import torch

from auteur.motion.conditional_flow import FlowConfig
from auteur.motion.face_flow import CONDITIONING_CONTROLS, FaceFlowConfig
from auteur.motion.generator import MotionConfig
from auteur.motion.head_flow import HeadFlowConfig
from auteur.motion.style import STYLE_STATISTICS

Module = TypeVar("Module", bound=torch.nn.Module)

TINY = MotionConfig(
    speech_features=5, coefficients=6, code=8, hidden=8, latent=4, encoder_layers=2, decoder_layers=2,
    flow_hidden=6, flow_layers=2,
)  # fmt: skip

TINY_FLOW = FlowConfig(
    channels=6, style=len(STYLE_STATISTICS), speech_features=5, action_units=len(CONDITIONING_CONTROLS),
    code=8, hidden=8, dilations=(1, 2),
)  # fmt: skip
TINY_FACE = FaceFlowConfig(flow=TINY_FLOW)
TINY_HEAD = HeadFlowConfig(
    flow=FlowConfig(channels=6, style=2, speech_features=5, code=8, hidden=8, dilations=(1, 2, 4))
)


def shaken(model: Module, seed: int = 0) -> Module:
    """The model with every weight random, so that nothing is zero by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()
