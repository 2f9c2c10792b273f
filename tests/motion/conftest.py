"""Real components at tiny size, and a face to put motion on."""

import numpy as np
import pytest
import torch
from motion_samples import TINY, TINY_FACE, TINY_HEAD, shaken

from auteur.face.pose import canonical_face
from auteur.motion.au_basis import AUBasis
from auteur.motion.face_flow import FaceFlow
from auteur.motion.generator import MotionGenerator
from auteur.motion.head_flow import HeadFlow
from auteur.motion.idle_motion import IdleMotion
from auteur.motion.speech_motion import SpeechMotion
from auteur.weights import load_shipped


@pytest.fixture
def generator() -> MotionGenerator:
    model = shaken(MotionGenerator(TINY))
    model.basis.copy_(torch.randn(model.basis.shape, generator=torch.Generator().manual_seed(1)))
    return model


@pytest.fixture(scope="session")
def basis() -> AUBasis:
    return load_shipped(AUBasis(), "au_basis")


@pytest.fixture(scope="session")
def idle() -> IdleMotion:
    return load_shipped(IdleMotion(), "habits")


@pytest.fixture
def face_flow() -> FaceFlow:
    model = shaken(FaceFlow(TINY_FACE))
    model.basis.copy_(torch.randn(model.basis.shape, generator=torch.Generator().manual_seed(1)))
    return model


@pytest.fixture
def head_flow() -> HeadFlow:
    model = shaken(HeadFlow(TINY_HEAD))
    model.scale.copy_(torch.tensor([0.05, 0.05, 0.05, 5.0, 3.0, 1.0]))
    return model


@pytest.fixture
def speech_motion(face_flow: FaceFlow, head_flow: HeadFlow, basis: AUBasis, idle: IdleMotion) -> SpeechMotion:
    return SpeechMotion(face=face_flow, head=head_flow, basis=basis, idle=idle)


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """A face of the canonical shape with irises, [478, 3] px, lips a little open."""
    face = np.zeros((478, 3))
    face[:468] = canonical_face()
    for iris, corners in (((468, 469, 470, 471, 472), (33, 133)), ((473, 474, 475, 476, 477), (362, 263))):
        face[list(iris)] = face[list(corners)].mean(0)
    return face * 3.0 + np.array([320.0, 300.0, 0.0])
