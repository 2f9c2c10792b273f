"""FLAME from its tables, on a random head of the right shapes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from auteur.errors import FormatError, UsageError
from auteur.expression.flame.layer import FlameLayer, rotations
from auteur.expression.flame.space import FlameExpressionSpace
from auteur.expression.space import ExpressionSpace, reconstruction_error_mm
from auteur.formats.flame import FlameModel, read_flame_model

from .flame_samples import VERTICES, model_tables


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FlameModel:
    path = tmp_path_factory.mktemp("flame") / "generic_model.npz"
    np.savez(path, **model_tables())
    return read_flame_model(path)


@pytest.fixture(scope="module")
def layer(model: FlameModel) -> FlameLayer:
    return FlameLayer(model)


@pytest.mark.slow
def test_no_expression_is_the_template(layer: FlameLayer):
    made = layer(expression=torch.zeros(2, 50), shape=torch.zeros(2, 100), pose_rad=torch.zeros(2, 5, 3))
    torch.testing.assert_close(made, layer.template.expand(2, -1, -1), atol=1e-6, rtol=0)


@pytest.mark.slow
def test_expression_is_linear_and_starts_after_the_shapes(layer: FlameLayer):
    e = torch.randn(1, 50)
    once, twice = (layer(expression=k * e) - layer.template for k in (1, 2))
    torch.testing.assert_close(twice, 2 * once)
    tables = model_tables()
    wanted = tables["shapedirs"][:, :, 300:350] @ e[0].numpy()
    np.testing.assert_allclose(once[0].numpy(), wanted, atol=1e-6)


def test_turning_the_root_turns_everything_about_the_root(layer: FlameLayer):
    pose = torch.zeros(1, 5, 3)
    pose[0, 0] = torch.tensor([0.1, -0.4, 0.2])
    made = layer(expression=torch.zeros(1, 50), pose_rad=pose)[0]
    root = layer.regressor[0] @ layer.template
    wanted = (layer.template - root) @ rotations(pose[0, 0]).T + root
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


def test_the_jaw_moves_skin_by_its_weight_about_its_joint(layer: FlameLayer):
    jaw = torch.tensor([[0.3, 0.0, 0.0]])
    made = layer(expression=torch.zeros(1, 50), pose_rad=torch.nn.functional.pad(jaw[None], (0, 0, 2, 2)))[0]
    pose = (rotations(jaw) - torch.eye(3)).flatten(1)
    bent = layer.template + torch.einsum("k,kvc->vc", pose[0], layer.pose_shapes[9:18])
    place = layer.regressor[2] @ layer.template
    turned = (bent - place) @ rotations(jaw)[0].T + place
    weight = layer.skin[:, 2:3]
    torch.testing.assert_close(made, (1 - weight) * bent + weight * turned, atol=1e-5, rtol=1e-5)


def test_rotations_are_rotations_and_have_a_gradient_at_zero():
    given = torch.tensor([[0.0, 0.0, 0.0], [1e-6, 0, 0], [0, 0, torch.pi / 2]], requires_grad=True)
    made = rotations(given)
    torch.testing.assert_close(made @ made.transpose(1, 2), torch.eye(3).expand(3, -1, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        made[2] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0
    )
    made.sum().backward()
    assert torch.isfinite(given.grad).all()


def test_the_space_gives_expressions_back(model: FlameModel):
    space = FlameExpressionSpace(model)
    assert isinstance(space, ExpressionSpace)
    assert (space.name, space.coefficients, space.vertices) == ("flame50", 50, VERTICES)
    vectors = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    moved = space.decode(vectors)
    np.testing.assert_allclose(space.encode(moved), vectors, atol=1e-3)
    assert reconstruction_error_mm(space, moved).max() < 1e-3
    assert not space.decode(np.zeros((1, 50))).any()
    with pytest.raises(UsageError, match="5023"):
        space.encode(np.zeros((1, 478, 3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shapedirs": np.zeros((50, 3, 150))}, "400"),
        ({"weights": np.zeros((50, 4))}, "weights"),
        ({"kintree_table": np.array([[0, 3, 1, 1, 1], [0, 1, 2, 3, 4]])}, "before its parent"),
        ({"v_template": np.full((50, 3), np.nan)}, "v_template"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, change: dict[str, np.ndarray], words: str):
    np.savez(tmp_path / "m.npz", **(model_tables(vertices=50) | change))
    with pytest.raises(FormatError, match=words):
        read_flame_model(tmp_path / "m.npz")
