"""FLAME's vertices from its parameters: blend shapes, then linear blend skinning.

Li, Bolkart, Black, Li & Romero, "Learning a model of facial shape and expression from 4D scans", ACM TOG
2017, equations 1 to 5. The code is ours; the tables are the user's licensed file
(`auteur.formats.flame.read_flame_model`).

Axes: B batch, V vertices, J joints (root, neck, jaw, left eye, right eye), S shape numbers, E expression
numbers.
"""

import numpy as np
import torch
from torch import Tensor, nn

from auteur.formats.flame import FlameModel

JAW = 2


class FlameLayer(nn.Module):
    """The model as a differentiable function.

    Args:
        model: FLAME's tables.
    """

    template: Tensor
    """[V, 3] metres."""
    shapes: Tensor
    """[S, V, 3]."""
    expressions: Tensor
    """[E, V, 3]."""
    pose_shapes: Tensor
    """[36, V, 3]: one per entry of the four joints' rotations less the identity."""
    regressor: Tensor
    """[J, V]."""
    skin: Tensor
    """[V, J]."""

    def __init__(self, model: FlameModel) -> None:
        super().__init__()
        tables = {
            "template": model.template,
            "shapes": np.moveaxis(model.shape_directions, 2, 0),
            "expressions": np.moveaxis(model.expression_directions, 2, 0),
            "pose_shapes": np.moveaxis(model.pose_directions, 2, 0),
            "regressor": model.joint_regressor,
            "skin": model.skin_weights,
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table)).float())
        self._parents = [int(parent) for parent in model.parents]

    def forward(
        self, *, expression: Tensor, shape: Tensor | None = None, pose_rad: Tensor | None = None
    ) -> Tensor:
        """Returns vertices [B, V, 3] in metres.

        Args:
            expression: [B, up to E].
            shape: [B, up to S]; the average head unless given.
            pose_rad: Axis-angle of every joint, [B, J, 3]; all at rest unless given.
        """
        made = self.template + _mixed(self.expressions, expression)
        if shape is not None:
            made = made + _mixed(self.shapes, shape)
        if pose_rad is None:
            return made
        # Joints follow from shape and expression, before the pose bends the skin (eq. 3).
        joints = torch.einsum("jv,bvc->bjc", self.regressor, made)
        turns = rotations(pose_rad)
        bent = (turns[:, 1:] - torch.eye(3, device=turns.device)).flatten(1)
        made = made + _mixed(self.pose_shapes, bent)
        return self._skinned(made, joints, turns)

    def _skinned(self, vertices: Tensor, joints: Tensor, turns: Tensor) -> Tensor:
        """Linear blend skinning (eq. 1): each vertex goes along with its joints, by its weights."""
        chain: list[tuple[Tensor, Tensor]] = []
        for joint, parent in enumerate(self._parents):
            turn, place = turns[:, joint], joints[:, joint]
            if parent >= 0:
                up_turn, up_place = chain[parent]
                place = up_place + torch.einsum("bij,bj->bi", up_turn, place - joints[:, parent])
                turn = up_turn @ turn
            chain.append((turn, place))
        turned = torch.stack([turn for turn, _ in chain], dim=1)
        placed = torch.stack([place for _, place in chain], dim=1)
        # x -> R (x - rest) + place, blended over joints.
        shift = placed - torch.einsum("bjkl,bjl->bjk", turned, joints)
        matrix = torch.einsum("vj,bjkl->bvkl", self.skin, turned)
        return torch.einsum("bvkl,bvl->bvk", matrix, vertices) + torch.einsum("vj,bjk->bvk", self.skin, shift)


def rotations(axis_angle: Tensor) -> Tensor:
    """Returns rotation matrices [..., 3, 3] of axis-angle vectors [..., 3] in radians (Rodrigues)."""
    x, y, z = axis_angle.unbind(-1)
    nothing = torch.zeros_like(x)
    cross = torch.stack([nothing, -z, y, z, nothing, -x, -y, x, nothing], dim=-1).unflatten(-1, (3, 3))
    square = axis_angle.square().sum(-1)
    # Near 0 the quotients are their series: exact at 0, where the angle itself has no derivative.
    small = square < 1e-8
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    first = torch.where(small, 1 - square / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / angle.square())
    identity = torch.eye(3).to(axis_angle)
    return identity + first[..., None, None] * cross + second[..., None, None] * (cross @ cross)


def _mixed(directions: Tensor, amounts: Tensor) -> Tensor:
    return torch.einsum("bk,kvc->bvc", amounts, directions[: amounts.shape[1]])
