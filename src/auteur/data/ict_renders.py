"""Random computer-drawn faces: eyes, mouths and poses that photographs rarely show, to label with a teacher.

The head is coloured per vertex, projected, and its quads are drawn from far to near (painter's algorithm).
The paint refers to positions in ICT-FaceKit's average head, in cm.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from auteur.data.ict_faces import FaceModel, Floats, Look, sample_look
from auteur.errors import UsageError

_OVERSAMPLING = 2
_SUBPIXEL_BITS = 4
_FACE_MIDDLE_CM = np.array([0.0, 1.0, 4.0], np.float32)  # pictures centre on it, heads turn about it
_FACE_HEIGHT_CM = 14.0  # chin to brows
_EYE_CENTRE_CM = np.array([3.2, 3.61, 8.07], np.float32)  # the left one; the right one mirrors it
_LOOK_FULL_RAD = 0.5  # gaze angle at which the eyelids' eyeLook shapes reach weight 1
_NAMED_COLOURS = {
    "mouth": (0.30, 0.08, 0.08),
    "tongue": (0.70, 0.36, 0.35),
    "teeth": (0.90, 0.87, 0.80),
}
# Half outlines (mirrored at x = 0) on the average head: |x|, y of the upper edge, y of the lower edge.
_LIPS = np.array([[0.0, 0.73, 1.7, 2.53], [-2.48, -2.42, -2.78, -3.52], [-4.38, -4.25, -4.02, -3.52]])
_BROW = np.array(
    [[1.1, 1.7, 3.0, 4.3, 5.2, 5.9], [5.9, 6.2, 6.4, 6.3, 5.9, 5.3], [5.4, 5.5, 5.8, 5.9, 5.6, 5.2]]
)
_HAIRS = np.array([[0.09, 0.07, 0.06], [0.25, 0.16, 0.1], [0.6, 0.45, 0.25], [0.6, 0.58, 0.56]])
_IRISES = np.array([[0.24, 0.13, 0.07], [0.42, 0.28, 0.14], [0.3, 0.42, 0.55], [0.33, 0.4, 0.25]])
_LIGHTEST_SKIN, _DARKEST_SKIN = np.array([[0.93, 0.74, 0.64], [0.33, 0.20, 0.14]])


def render_faces(model: FaceModel, count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yields `count` random pictures, RGB [H, W, 3], each square of 256 to 320 px.

    The picture at a position depends on `seed` and that position only.

    Raises:
        UsageError: `count` is negative.
    """
    if count < 0:
        raise UsageError(f"count is {count}; it must be 0 or more")
    for index in range(count):
        yield render(model, sample_look(model, np.random.default_rng([seed, index])))


def render(model: FaceModel, look: Look) -> NDArray[np.uint8]:
    """Returns the picture of a look, RGB [size_px, size_px, 3]; equal looks give equal pictures."""
    generator = np.random.default_rng(look.paint_seed)
    points = pose_vertices(model, look)
    colours, hair_cm = _paint(model, generator)
    turn = _rotation(look.pose_rad)
    points += (hair_cm * generator.uniform(0.2, 1.8))[:, None] * _unit(model.neutral - [0.0, 4.0, 0.0])
    points = (points - _FACE_MIDDLE_CM) @ turn.T
    colours = _shade(model, points, colours, generator)
    size = look.size_px * _OVERSAMPLING
    canvas = _background(size, generator)
    _draw(canvas, model, _project(points, look, generator), points, colours)
    picture = cv2.resize(canvas, (look.size_px, look.size_px), interpolation=cv2.INTER_AREA)
    picture = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.3, 0.9))
    picture = picture + generator.normal(0.0, generator.uniform(0.5, 5.0), picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def pose_vertices(model: FaceModel, look: Look) -> Floats:
    """Returns the vertices [V, 3] with identity, expression and gaze, cm, before the head turns."""
    weights = {**look.expression, **_eyelids_following(look.gaze_rad)}
    points = model.neutral + np.tensordot(look.identity, model.identity_deltas, 1)
    shift_of_eyes = points - model.neutral
    for index, name in enumerate(model.expression_names):
        if weights.get(name, 0.0) > 0.0:
            points = points + weights[name] * model.expression_deltas[index]
    turn = _rotation((*look.gaze_rad, 0.0))
    for side in (1.0, -1.0):
        ball = model.is_part("eye") & (side * model.neutral[:, 0] > 0)
        if ball.any():
            centre = _EYE_CENTRE_CM * [side, 1.0, 1.0] + shift_of_eyes[ball].mean(0)
            points[ball] = (points[ball] - centre) @ turn.T + centre
    return points.astype(np.float32)


def _eyelids_following(gaze_rad: tuple[float, float]) -> dict[str, float]:
    pitch, yaw = (angle / _LOOK_FULL_RAD for angle in gaze_rad)
    amounts = {"Up_L": pitch, "Up_R": pitch, "Down_L": -pitch, "Down_R": -pitch}
    amounts |= {"Out_L": yaw, "In_R": yaw, "In_L": -yaw, "Out_R": -yaw}
    return {f"eyeLook{name}": min(amount, 1.0) for name, amount in amounts.items()}


def _rotation(pose_rad: tuple[float, float, float]) -> Floats:
    (cp, cy, cr), (sp, sy, sr) = np.cos(pose_rad), np.sin(pose_rad)
    pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return (roll @ yaw @ pitch).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _step(values: Floats, width: float) -> Floats:
    return np.clip(values / width + 0.5, 0.0, 1.0)


def _band(places: Floats, outline: Floats, soft_cm: float) -> Floats:
    """Share [V] of a vertex that lies inside a mirrored half outline, seen from the front."""
    x, y = np.abs(places[:, 0]), places[:, 1]
    inside = np.minimum(np.interp(x, outline[0], outline[1]) - y, y - np.interp(x, outline[0], outline[2]))
    # Outlines that start at x = 0 are whole; the others end there.
    inside = np.minimum(inside, np.minimum(x - outline[0, 0] + float(outline[0, 0] == 0), outline[0, -1] - x))
    return _step(inside, soft_cm) * (places[:, 2] > 5.0)


def _waves(places: Floats, period_cm: float, generator: Generator) -> Floats:
    """Smooth random values [V], about -1 to 1."""
    directions = generator.normal(0.0, 2 * np.pi / period_cm, (3, 6))
    phases = places @ directions + generator.uniform(0, 2 * np.pi, 6)
    return np.sin(phases.astype(np.float32)).mean(1) * 1.7  # single precision: this is the slow line


def _mix(colours: Floats, other: Floats, share: Floats) -> Floats:
    return colours + share[:, None] * (other - colours)


def _paint(model: FaceModel, generator: Generator) -> tuple[Floats, Floats]:
    """Returns the unlit colours [V, 3] and how much hair covers each vertex [V], 0 to 1."""
    places = model.neutral
    depth = generator.random()
    tone = _LIGHTEST_SKIN * (1 - depth) + _DARKEST_SKIN * depth
    colours = _paint_skin(places, tone, generator)
    hair = _HAIRS[generator.choice(4, p=(0.4, 0.3, 0.18, 0.12))] * generator.uniform(0.7, 1.3)
    colours = _paint_features(colours, places, tone, hair, generator)
    scalp = _scalp_share(places, generator)
    strands = 1 + 0.25 * _waves(places * [1, 0.3, 0.3], 0.7, generator) + 0.2 * _waves(places, 4.0, generator)
    colours = _mix(colours, hair * strands[:, None], scalp)
    clothes = _step(-places[:, 1] - generator.uniform(12.0, 15.0), 0.3)
    colours = _mix(colours, generator.uniform(0.05, 0.9, 3), clothes)
    for name, colour in _NAMED_COLOURS.items():
        colours[model.is_part(name)] = np.array(colour) * generator.uniform(0.85, 1.1)
    colours[model.is_part("lash")] = tone * generator.uniform(0.2, 0.7)
    inside = model.is_part("mouth", "tongue", "teeth")
    colours[inside] *= np.clip((places[inside, 2:] - 5.5) / 5.0, 0.12, 1.0)  # little light gets in
    eyes = model.is_part("eye")
    colours[eyes] = _paint_eyes(places[eyes], generator)
    return colours, scalp * model.is_part("skin")


def _paint_skin(places: Floats, tone: Floats, generator: Generator) -> Floats:
    skin = tone * (1 + 0.12 * _waves(places, 9.0, generator)[:, None] * [0.6, 1.0, 1.0])
    skin = skin * (1 + generator.normal(0, generator.uniform(0.0, 0.03), (len(places), 1)))
    cheeks = np.exp(-(((np.abs(places[:, 0]) - 5) / 2.5) ** 2) - ((places[:, 1] + 0.5) / 2.2) ** 2)
    return _mix(skin, tone * [1.05, 0.72, 0.72], cheeks * generator.uniform(0, 0.6))


def _paint_features(skin: Floats, places: Floats, tone: Floats, hair: Floats, generator: Generator) -> Floats:
    """Returns the skin with lips, brows and, on a quarter of the faces, a beard or its shadow."""
    jaw = _step(-places[:, 1] - 1.2 - 0.25 * (8 - places[:, 2]), 2.0)
    jaw = jaw * ((places[:, 1] > -9.0) & (places[:, 2] > 0))
    skin = _mix(skin, hair, jaw * generator.choice([0.0, generator.uniform(0.1, 0.8)], p=(0.75, 0.25)))
    lips = tone * [0.95, 0.62, 0.62] + generator.uniform(-0.05, 0.1) * np.array([1.0, 0.0, 0.2])
    skin = _mix(skin, lips, _band(places, _LIPS, 0.25) * generator.uniform(0.5, 1.0))
    brow = _BROW + np.array([[0.0], [generator.uniform(-0.15, 0.3)], [generator.uniform(-0.1, 0.15)]])
    stroke = 0.85 + 0.15 * _waves(places, 0.6, generator)
    return _mix(skin, hair * 0.8, _band(places, brow, 0.3) * stroke * generator.uniform(0.35, 1.0))


def _scalp_share(places: Floats, generator: Generator) -> Floats:
    start_cm = generator.uniform(9.0, 10.5)
    hairline = places[:, 1] - start_cm + 0.95 * (8.5 - places[:, 2]) + 0.4 * _waves(places, 2.0, generator)
    ears = (np.abs(places[:, 0]) > 7.3) & (places[:, 1] < 4.5) & (places[:, 2] > -2.5)
    has_hair = generator.random() < 0.85
    return _step(hairline, 1.2) * (has_hair & ~ears & (places[:, 1] > -6.0))


def _paint_eyes(places: Floats, generator: Generator) -> Floats:
    mirrored = places * np.where(places[:, :1] > 0, [1, 1, 1], [-1, 1, 1])
    off_axis = np.arccos(np.clip(_unit(mirrored - _EYE_CENTRE_CM)[:, 2], -1, 1))
    white = np.array([0.88, 0.86, 0.84]) * generator.uniform(0.85, 1.05) * np.ones_like(places)
    iris = _IRISES[generator.choice(4, p=(0.5, 0.2, 0.2, 0.1))] * generator.uniform(0.6, 1.2)
    colours = _mix(white, iris, _step(generator.uniform(0.4, 0.46) - off_axis, 0.06))
    return _mix(colours, np.full(3, 0.03), _step(generator.uniform(0.13, 0.22) - off_axis, 0.06))


def _shade(model: FaceModel, points: Floats, colours: Floats, generator: Generator) -> Floats:
    """Returns lit colours [V, 3]: sky and floor light, one soft lamp, a weak highlight."""
    corners = points[model.quads]
    crossed = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    at = model.quads.ravel()
    sums = [np.bincount(at, np.repeat(axis, 4), len(points)) for axis in crossed.T]
    normals = _unit(np.stack(sums, axis=1, dtype=np.float64))
    lamp = _unit(np.array([generator.uniform(-1.2, 1.2), generator.uniform(-0.4, 1.2), 1.0]))
    lamp_colour = generator.uniform(0.35, 0.9) * generator.uniform(0.88, 1.0, 3)
    sky, floor = generator.uniform(0.35, 0.75) * generator.uniform(0.85, 1.0, (2, 3)) * [[1.0], [0.6]]
    wrap = generator.uniform(0.1, 0.4)
    diffuse = np.clip((normals @ lamp + wrap) / (1 + wrap), 0, None)[:, None]
    light = floor + (sky - floor) * (0.5 + 0.5 * normals[:, 1:2]) + lamp_colour * diffuse
    shiny = np.where(model.is_part("eye", "teeth"), 0.35, generator.uniform(0.0, 0.2))
    shiny *= ~model.is_part("mouth", "lash")
    halfway = _unit(lamp + np.array([0.0, 0.0, 1.0]))
    highlight = shiny * np.clip(normals @ halfway, 0, None) ** np.where(model.is_part("eye"), 120, 25)
    return colours * light + highlight[:, None] * lamp_colour


def _project(points: Floats, look: Look, generator: Generator) -> Floats:
    """Returns positions [V, 2] on the oversampled canvas, px."""
    size = look.size_px * _OVERSAMPLING
    focal = look.face_share * size / _FACE_HEIGHT_CM * look.distance_cm
    px_per_cm = focal / (look.distance_cm - points[:, 2:])
    centre = size * (0.5 + generator.uniform(-0.08, 0.08, 2))
    return points[:, :2] * [1, -1] * px_per_cm + centre


def _draw(canvas: Floats, model: FaceModel, places: Floats, points: Floats, colours: Floats) -> None:
    corners = places[model.quads]
    across, down = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    facing = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0] < 0  # picture rows grow downward
    lash, hidden = (model.is_part(name)[model.quads[:, 0]] for name in ("lash", "hidden"))
    shown = np.flatnonzero((facing | lash) & ~hidden)
    shown = shown[np.argsort(points[model.quads[shown], 2].mean(1))]
    shapes = np.round(corners[shown] * 2**_SUBPIXEL_BITS).astype(np.int32)
    paints = np.clip(colours[model.quads[shown]].mean(1) * 255, 0, 255).tolist()
    for shape, paint in zip(shapes, paints, strict=True):
        cv2.fillConvexPoly(canvas, shape, paint, cv2.LINE_8, _SUBPIXEL_BITS)


def _background(size: int, generator: Generator) -> Floats:
    cells = int(generator.integers(2, 14))
    coarse = generator.uniform(0, 255) + generator.normal(0, generator.uniform(5, 60), (cells, cells, 1))
    coarse = coarse + generator.normal(0, 40, 3)
    coarse = coarse + generator.normal(0, generator.uniform(0, 40), (cells, cells, 3))
    smooth = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.float32)
