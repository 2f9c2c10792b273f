"""The MediaPipe face mesh: its triangles and its named vertices.

The triangles are those of MediaPipe's canonical face model (Apache-2.0): 468 vertices, 898 faces, one border
(the face oval), eyes and mouth filled in. The corners of each triangle run clockwise as seen in a picture (x
right, y down), so a triangle whose signed area is positive faces the camera.
"""

from functools import cache
from importlib import resources

import torch
from torch import Tensor

from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS

MESH_VERTICES = 468

CHIN_VERTICES = (152, 148, 377, 176, 400, 175)
"""Vertices that follow the jaw bone."""

MOUTH_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
MOUTH_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Inner contours of the lips, from the subject's right corner to the left one."""

RIGHT_EYE_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_EYE_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
LEFT_EYE_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)
"""Edges of the lids, from left to right in the picture."""

RIGHT_LID_CREASE, LEFT_LID_CREASE = (247, 30, 29, 27, 28, 56, 190), (414, 286, 258, 257, 259, 260, 467)
RIGHT_LID_FOOT, LEFT_LID_FOOT = (25, 110, 24, 23, 22, 26, 112), (341, 256, 252, 253, 254, 339, 255)
RIGHT_UNDER_BROW, LEFT_UNDER_BROW = (113, 225, 224, 223, 222, 221, 189), (413, 441, 442, 443, 444, 445, 342)
"""Rows of the mesh above the upper lid, where its crease is, under the lower lid, and from crease to brow;
from left to right in the picture."""

CHEEK_VERTICES = (50, 280, 205, 425, 117, 346, 151, 9)
LIP_VERTICES = (37, 267, 84, 314, 17, 0)
FOREHEAD_TOP, CHIN_TIP = 10, 152


@cache
def face_triangles() -> Tensor:
    """Returns the triangles of the face mesh, int64 [898, 3]."""
    text = resources.files("auteur.synthesis.warp").joinpath("face_triangles.csv").read_text(encoding="ascii")
    return torch.tensor([[int(vertex) for vertex in line.split(",")] for line in text.splitlines()])


@cache
def generic_face() -> Tensor:
    """Returns the landmarks of the mean face at rest, in eye distances, float32 [478, 3].

    The vertices of the canonical face model, seen from the front (x right, y down, smaller z nearer), around
    a point between the eyes; irises are put in the middle of the eye openings.
    """
    text = resources.files("auteur.synthesis.warp").joinpath("face_vertices.csv").read_text(encoding="ascii")
    vertices = torch.tensor([[float(value) for value in line.split(",")] for line in text.splitlines()])
    irises = []
    for edges in (RIGHT_EYE_UPPER + RIGHT_EYE_LOWER, LEFT_EYE_UPPER + LEFT_EYE_LOWER):
        contour = vertices[list(edges)]
        radius = 0.2 * (contour[:, 0].max() - contour[:, 0].min())
        ring = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]])
        irises.append(contour.mean(0) + radius * ring)
    landmarks = torch.cat([vertices, *irises])
    right, left = landmarks[RIGHT_IRIS[0]], landmarks[LEFT_IRIS[0]]
    return (landmarks - (right + left) / 2) / (left - right).norm()
