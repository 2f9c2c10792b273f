"""Topology of landmarks: MediaPipe's 478-point face mesh, its 162-point subset and its 68 iBUG points.

Left and right are the subject's: the subject's left is on the picture's right. Index facts come from
MediaPipe's `FaceLandmarksConnections` (Apache-2.0); the 68-point table was set and checked by eye against the
iBUG 300-W mark-up (Sagonas et al., 2013).
"""

MEDIAPIPE_COUNT = 478
"""468 mesh vertices, then five points for each iris."""

OUTER_LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
"""Outer edge of the lips: right corner, along the upper lip to the left corner, back along the lower lip."""
INNER_LIPS = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
"""Inner edge of the lips, in the order of `OUTER_LIPS`."""
LIP_CORNERS = (61, 291)
"""Outer corners of the mouth: the subject's right, left."""

RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""Outer corner, along the upper lid to the inner corner, back along the lower lid."""
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
"""The mirror image of `RIGHT_EYE`, point by point."""
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
"""Upper edge from the temple to the nose, lower edge back."""
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
"""The mirror image of `RIGHT_BROW`, point by point."""
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""From the top of the forehead down the left side to the chin and up the right side."""
NOSE = (
    168, 6, 197, 195, 5, 4, 1, 19, 94, 2,
    98, 97, 326, 327, 294, 278, 344, 440, 275, 45, 220, 115, 48, 64,
)  # fmt: skip
"""Bridge and septum from top to bottom (10), then base and wings (14)."""
RIGID_VERTICES = (
    6, 168, 197, 195, 8, 9, 151, 10, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251,
    33, 133, 362, 263, 127, 356, 162, 389, 234, 454, 48, 278,
)  # fmt: skip
"""Vertices that expressions hardly move: nose bridge, forehead, temples, eye corners, nostril wings."""
RIGHT_IRIS = (468, 469, 470, 471, 472)
"""Centre, then four points of the rim."""
LEFT_IRIS = (473, 474, 475, 476, 477)
"""Centre, then four points of the rim."""

CONTOURS: dict[str, tuple[int, ...]] = {
    "outer_lips": OUTER_LIPS,
    "inner_lips": INNER_LIPS,
    "right_eye": RIGHT_EYE,
    "left_eye": LEFT_EYE,
    "right_brow": RIGHT_BROW,
    "left_brow": LEFT_BROW,
    "face_oval": FACE_OVAL,
    "nose": NOSE,
    "right_iris": RIGHT_IRIS,
    "left_iris": LEFT_IRIS,
}
"""Vertices of each named part in the 478-point mesh. Lips, eyes, brows and oval are closed lines in this
order."""

C162 = tuple(vertex for contour in CONTOURS.values() for vertex in contour)
"""The 162 vertices of convention "c162": the contours one after the other."""


IBUG68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""Mesh vertex nearest to each of the 68 iBUG points: jaw 17, brows 10, nose 9, eyes 12, outer lips 12, inner
lips 8."""

LANDMARK_CONVENTIONS: dict[str, tuple[str, ...]] = {
    "mediapipe478": tuple(f"v{index}" for index in range(MEDIAPIPE_COUNT)),
    "c162": tuple(f"v{vertex}" for vertex in C162),
    "ibug68": tuple(f"p{index}" for index in range(68)),
}
"""Channel names of each landmark convention: `v` mesh vertex, `p` iBUG point."""
