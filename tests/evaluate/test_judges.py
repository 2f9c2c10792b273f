"""Identity and emotion networks of the user's: TorchScript and ONNX files, and what cannot be one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auteur.errors import InputError, UsageError, WeightsError
from auteur.evaluate.judges import IdentityNetwork, NetworkEmotionClassifier, load_network
from auteur.evaluate.streams import Networks, RealFrame, VideoStream
from auteur.face.tracker import find_face
from support.networks import QuarterColours


def exported(path: Path, numbers: int, side: int) -> Path:
    torch.jit.trace(QuarterColours(numbers), torch.rand(2, 3, side, side)).save(str(path))
    return path


@pytest.fixture
def identity(tmp_path) -> IdentityNetwork:
    return IdentityNetwork(exported(tmp_path / "face.pt", 12, 112))


def test_the_same_face_has_similarity_1_and_another_picture_less(identity, puppet, backend):
    landmarks = find_face(backend, puppet.portrait).landmarks
    mine = identity.describe(puppet.portrait, landmarks)
    assert np.linalg.norm(mine) == pytest.approx(1) and mine.shape == (12,)
    turned = np.ascontiguousarray(255 - puppet.portrait)
    assert mine @ identity.describe(turned, landmarks) < 0.9
    assert identity.name.startswith("face.pt ")


def test_csim_is_measured_against_the_real_frame(identity, puppet, backend):
    from auteur.evaluate.face_features import FaceFeatureNet

    reading = find_face(backend, puppet.portrait)
    stream = VideoStream(Networks(FaceFeatureNet(), identity=identity))
    stream.add(puppet.portrait, reading, RealFrame(puppet.portrait, reading, is_sampled=True))
    assert stream.means()["csim"] == pytest.approx(1)
    other = identity.describe(np.ascontiguousarray(255 - puppet.portrait), reading.landmarks)
    stream = VideoStream(Networks(FaceFeatureNet(), identity=identity))
    stream.add(puppet.portrait, reading, RealFrame(puppet.portrait, reading, True, embedding=other))
    assert stream.means()["csim"] < 0.9


def test_an_emotion_classifier_has_its_labels_beside_it(tmp_path):
    path = exported(tmp_path / "emotions.pt", 3, 32)
    description = {"labels": ["happiness", "sad", "anger"], "size_px": 32}
    path.with_name("emotions.pt.json").write_text(json.dumps(description))
    classifier = NetworkEmotionClassifier(path)
    assert classifier.labels == ["happy", "sad", "angry"]
    bright = np.zeros((2, 40, 50, 3), np.uint8)
    bright[0, :20, 25:, 0] = 255  # the second quarter of the first channel
    bright[1, :20, :25, 0] = 255
    assert classifier(bright) == ["sad", "happy"]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, r"emotions\.pt\.json' is missing: it states the classifier's labels"),
        ({"labels": ["happy", "sad"]}, "gives 3 numbers per face and emotions.pt.json names 2 labels"),
        ({"labels": ["happy", "sad", "hungry"]}, "unknown emotion 'hungry'"),
        ({"size_px": 32}, "cannot be used: 'labels'"),
        ([], "cannot be used"),
    ],
)
def test_a_description_that_does_not_fit_is_named(description, message, tmp_path):
    path = exported(tmp_path / "emotions.pt", 3, 32)
    if description is not None:
        path.with_name("emotions.pt.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=message):
        NetworkEmotionClassifier(path)


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_network(tmp_path / "absent.pt", "the identity network")
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(WeightsError, match="is no TorchScript network"):
        IdentityNetwork(tmp_path / "text.pt")
    with pytest.raises(UsageError, match=r"must be TorchScript .* or \.onnx"):
        load_network(tmp_path / "weights.safetensors", "the identity network")
    with pytest.raises(WeightsError, match=r"gives numbers of shape \(1, 1\) for one face"):
        IdentityNetwork(exported(tmp_path / "one.pt", 1, 112))


def test_an_onnx_network_gives_what_it_gives_in_torch(tmp_path):
    onnx = pytest.importorskip("onnx", reason="writes the network")
    pytest.importorskip("onnxruntime", reason="runs it")
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, 112, 112])
    made = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["face"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "colours", [given], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "face.onnx"))
    pictures = torch.rand(2, 3, 112, 112)
    assert torch.allclose(
        load_network(tmp_path / "face.onnx", "x")(pictures), pictures.mean((2, 3)), atol=1e-6
    )
    IdentityNetwork(tmp_path / "face.onnx")


class Inflated(nn.Module):
    """Takes the arguments of StyleGAN-V's I3D."""

    def forward(
        self, video: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False
    ) -> torch.Tensor:
        return video.mean(dim=(2, 3, 4)) if return_features and not rescale and not resize else video


def test_fvd_features_are_those_of_whole_clips_of_16_frames(tmp_path):
    from auteur.evaluate.reference_networks import I3d

    torch.jit.script(Inflated()).save(str(tmp_path / "i3d.pt"))
    pictures = np.zeros((40, 8, 8, 3), np.uint8)
    pictures[16:32] = 255
    found = I3d(tmp_path / "i3d.pt").features(pictures)
    np.testing.assert_allclose(found, [[-1, -1, -1], [1, 1, 1]], atol=1e-6)
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(WeightsError, match="no TorchScript network"):
        I3d(tmp_path / "text.pt")
