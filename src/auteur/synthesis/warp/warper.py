"""A portrait that moves: frames for new landmark positions, at the portrait's own resolution."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from auteur.errors import InputError
from auteur.signals.topology import FACE_OVAL, LEFT_IRIS, MEDIAPIPE_COUNT, RIGHT_IRIS
from auteur.synthesis.warp.boundary import build_boundary
from auteur.synthesis.warp.eyes import Eye, close_lids
from auteur.synthesis.warp.field import SkinField
from auteur.synthesis.warp.lashes import build_lash_band
from auteur.synthesis.warp.lip_line import LipLine
from auteur.synthesis.warp.mesh import MESH_VERTICES
from auteur.synthesis.warp.mouth import Mouth
from auteur.synthesis.warp.pose import HeadMotion, limit_motion
from auteur.synthesis.warp.raster import back_to_front
from auteur.synthesis.warp.sampling import Box, Picture, box_around, fill_in
from auteur.synthesis.warp.skin_shading import SHADING_CONTROLS, PortraitShading, SkinShading
from auteur.synthesis.warp.still_background import StillBackground, covers_face
from auteur.weights import load_shipped

MAX_SIDE_PX = 1920
MIN_EYE_DISTANCE_PX = 8.0


@dataclass(frozen=True, kw_only=True)
class MovedMesh:
    """The triangles of one frame.

    Attributes:
        source: Vertices in the portrait, pixels and depth, [V, 3].
        target: Vertices in the frame, [V, 3].
        corners: Vertex indices of the triangles, in the order to paint them, int64 [T, 3].
        landmarks: The landmarks of the frame after limits, [478, 3].
        motion: The head's motion since the portrait.
    """

    source: Tensor
    target: Tensor
    corners: Tensor
    landmarks: Tensor
    motion: HeadMotion


class PortraitWarper:
    """Renders one portrait for new positions of its landmarks.

    The skin is a backward warp, affine within each triangle of the face mesh and of rings of control points
    around it that let hair, ears and neck follow the head and keep the background still. Eyeballs and the
    inside of the mouth are layers of their own behind the openings that lids and lips leave.

    Args:
        portrait: The picture, uint8 RGB [3, H, W], long side at most 1920.
        landmarks: The portrait's MediaPipe landmarks, pixels (x, y, z; smaller z is nearer), float32,
            [478, 3].
        detail: Grid points of the warp per eye distance. More follows small motion more exactly and costs
            more time.
        matte: Share of each pixel that is the person, float32 [H, W] in [0, 1]: the background outside it
            stays still. None, or one that leaves out the face: what is around the head moves with it.

    Raises:
        InputError: The picture or the landmarks have the wrong shape or type, are not finite, or show no face
            that can be warped.
    """

    def __init__(
        self, portrait: Tensor, landmarks: Tensor, *, detail: int = 36, matte: Tensor | None = None
    ) -> None:
        _check_portrait(portrait)
        _check_landmarks(landmarks, "the portrait's landmarks", (MEDIAPIPE_COUNT, 3))
        self._portrait = portrait
        self._landmarks = landmarks.float()
        self._eye_distance_px = _eye_distance(self._landmarks, portrait)
        _, height, width = portrait.shape
        self._whole = Box(left=0, top=0, right=width, bottom=height)
        self._boundary = build_boundary(self._landmarks, width, height)
        first_lash = MESH_VERTICES + len(self._boundary.points)
        self._lashes = build_lash_band(self._landmarks, self._eye_distance_px, first_lash)
        self._vertices = torch.cat(
            [self._landmarks[:MESH_VERTICES], self._boundary.points, self._lashes.points]
        )
        self._triangles = torch.cat([self._boundary.triangles, self._lashes.triangles])
        is_face = torch.arange(len(self._triangles), device=portrait.device) >= len(self._boundary.triangles)
        self._layers = is_face.long()
        outline = torch.cat([self._landmarks[list(FACE_OVAL)], self._boundary.points])[:, :2]
        self._area = box_around(outline, 1.0, self._whole)
        self._pixels = self._area.pixels(portrait.device)
        self._step_px = max(1, round(self._eye_distance_px / detail))
        background = self._still_background(matte)
        self._field = SkinField(self._area, self._step_px, self._hold_border(), background)
        self._build_layers()

    @property
    def area(self) -> Box:
        """The only part of the portrait that ever changes."""
        return self._area

    def render(self, landmarks: Tensor, action_units: Tensor | None = None) -> Tensor:
        """Returns one frame for each set of landmarks, uint8 [B, 3, H, W].

        Each frame depends on its own landmarks only. Motion beyond the limits of a warp (a head turned by
        more than about 35 degrees, a face drawn out of shape) is limited; the portrait's own landmarks give
        the portrait.

        Args:
            landmarks: Pixels in the portrait, float32 [B, 478, 3].
            action_units: Intensities of `skin_shading.SHADING_CONTROLS` that shade the skin, relative to the
                portrait, [B, C] in [-1, 1]; None: the portrait's own light.

        Raises:
            InputError: Wrong shape, or a value is not finite.
        """
        return self.render_with_landmarks(landmarks, action_units)[0]

    def render_with_landmarks(
        self, landmarks: Tensor, action_units: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns the same frames and their landmarks after all limits, [B, 478, 3]."""
        _check_landmarks(landmarks, "landmarks", (-1, MEDIAPIPE_COUNT, 3))
        if action_units is not None and action_units.shape != (len(landmarks), len(SHADING_CONTROLS)):
            raise InputError(
                f"Action Units for shading have the shape [{len(landmarks)}, {len(SHADING_CONTROLS)}], "
                f"not {list(action_units.shape)}; give one row per frame"
            )
        frames, shown = self._portrait.repeat(len(landmarks), 1, 1, 1), torch.zeros_like(landmarks.float())
        rows, columns = self._area.within(self._whole)
        with torch.inference_mode():
            for index, target in enumerate(landmarks.float()):
                mesh = self.mesh(target)
                units = None if action_units is None else action_units[index]
                part = self._render_area(mesh, units).clamp_(0, 255).round_().to(torch.uint8)
                frames[index, :, rows, columns], shown[index] = part, mesh.landmarks
        return frames, shown

    def warp_layer(self, layer: Tensor, landmarks: Tensor) -> Tensor:
        """Returns something that belongs to the portrait's pixels, such as a matte, moved as the skin moves.

        Args:
            layer: Float [C, H, W], the portrait's size.
            landmarks: Of one frame, pixels in the portrait, [478, 3].
        """
        with torch.inference_mode():
            mesh = self.mesh(landmarks.float())
            origins, _ = self._field.origins(mesh.source, mesh.target, mesh.corners, [])
            moved = layer.clone()
            rows, columns = self._area.within(self._whole)
            moved[:, rows, columns] = Picture(layer).sharp(origins)
        return moved

    def mesh(self, landmarks: Tensor) -> MovedMesh:
        """Returns the triangles to draw for one frame's landmarks [478, 3], pixels of the portrait."""
        source = self._landmarks
        target, motion = limit_motion(source, landmarks, self._eye_distance_px)
        target = close_lids(source, target)
        boundary = self._boundary.move(motion, source, target)
        lashes = self._lashes.move(motion, source, target)
        moved = torch.cat([target[:MESH_VERTICES], boundary, lashes])
        return MovedMesh(
            source=self._vertices,
            target=moved,
            corners=self._triangles[back_to_front(moved, self._triangles, self._layers)],
            landmarks=target,
            motion=motion,
        )

    def _render_area(self, mesh: MovedMesh, units: Tensor | None) -> Tensor:
        details = [layer.box(mesh.landmarks, self._area) for layer in (*self._eyes, self._mouth)]
        details = [box for box in details if not box.is_empty]
        origins, shrinking = self._field.origins(mesh.source, mesh.target, mesh.corners, details)
        frame = self._moved_skin(origins)
        self._field.soften(frame, self._skin, origins, shrinking)
        if units is not None:
            both = torch.cat([mesh.source[:MESH_VERTICES, :2], mesh.target[:MESH_VERTICES, :2]])
            rows, columns = box_around(both, self._step_px + 2.0, self._area).within(self._area)
            self._shading.apply(frame[:, rows, columns], origins[rows, columns], units)
        for eye in self._eyes:
            eye.paint(frame, origins, mesh.landmarks, self._area)
        self._paint_mouth(frame, origins, mesh)
        return frame

    def _moved_skin(self, origins: Tensor) -> Tensor:
        """The skin at origins [h, w, 2], [3, h, w]; about half of the pixels stay in place and are copied."""
        rows, columns = self._area.within(self._whole)
        frame = self._skin.colour[:, rows, columns].clone()
        # A point as one complex number is compared and picked several times faster than as two.
        points = torch.view_as_complex(origins).flatten()
        moved = torch.nonzero(points != torch.view_as_complex(self._pixels).flatten())[:, 0]
        read = self._skin.sharp(torch.view_as_real(points.index_select(0, moved))[None])
        frame.flatten(1).index_copy_(1, moved, read[:, 0])
        return frame

    def _paint_mouth(self, frame: Tensor, origins: Tensor, mesh: MovedMesh) -> None:
        box = self._mouth.box(mesh.landmarks, self._area)
        if box.is_empty:
            return
        opening = self._mouth.opening(mesh.landmarks)
        self._lip_line.erase(frame, origins, opening, box, self._area)
        within = (slice(None), *box.within(self._area))
        frame[within] = self._lip_line.draw(frame[within], opening, box.pixels(frame.device))
        self._mouth.paint(frame, origins, mesh.landmarks, mesh.motion, self._area)

    def _build_layers(self) -> None:
        picture = Picture(self._portrait.float())
        distance = self._eye_distance_px
        self._eyes = [
            Eye(picture, self._landmarks, is_right=is_right, eye_distance_px=distance)
            for is_right in (True, False)
        ]
        self._mouth = Mouth(picture, self._landmarks, distance)
        self._skin = self._close_openings(picture)
        own = self._mouth.opening(self._landmarks)
        self._lip_line = LipLine(self._skin, self._landmarks, own, distance)

    @cached_property
    def _shading(self) -> PortraitShading:
        shading = load_shipped(SkinShading(), "skin_shading")
        return PortraitShading(shading, self._landmarks, self._area, self._step_px)

    def _still_background(self, matte: Tensor | None) -> StillBackground | None:
        if matte is None:
            return None
        if matte.shape != self._portrait.shape[1:]:
            raise InputError(
                f"the matte has the shape {list(matte.shape)}, it must be the portrait's, "
                f"{list(self._portrait.shape[1:])}"
            )
        return StillBackground(matte, self._eye_distance_px) if covers_face(matte, self._landmarks) else None

    def _hold_border(self) -> Tensor:
        """1 inside the picture, falling to 0 on its border, over `area`, [h, w]: the border stays."""
        pixels = self._area.pixels(self._portrait.device)
        last = torch.tensor([self._whole.right - 1, self._whole.bottom - 1], device=pixels.device)
        distance = torch.minimum(pixels, last - pixels).amin(-1)
        return (distance / max(2.0, 0.1 * self._eye_distance_px)).clamp(max=1.0)

    def _close_openings(self, picture: Picture) -> Picture:
        """The portrait with skin in place of what shows through openings, darker where lids meet."""
        face = box_around(self._landmarks[:, :2], 1.0, self._whole)
        positions = face.pixels(picture.colour.device)
        within = (slice(None), *face.within(self._whole))
        eyes = torch.stack([eye.mask(positions) for eye in self._eyes]).amax(0)[None]
        mouth = self._mouth.surroundings(positions)[None]
        inside = torch.maximum(eyes, mouth)
        colour = picture.colour.clone()
        filled = fill_in(colour[within], (inside == 0).float())
        colour[within] = torch.where(inside > 0, (1 - 0.3 * eyes) * filled, colour[within])
        return Picture(colour)


def _check_portrait(portrait: Tensor) -> None:
    if portrait.dtype != torch.uint8 or portrait.ndim != 3 or portrait.shape[0] != 3:
        raise InputError(
            f"a portrait is uint8 of shape [3, H, W], this one is {portrait.dtype} of shape "
            f"{list(portrait.shape)}; convert it to RGB first"
        )
    if max(portrait.shape[1:]) > MAX_SIDE_PX or min(portrait.shape[1:]) < 16:
        raise InputError(
            f"the portrait has {portrait.shape[2]} x {portrait.shape[1]} pixels, allowed are 16 to "
            f"{MAX_SIDE_PX} a side; resize it first"
        )


def _check_landmarks(landmarks: Tensor, what: str, shape: tuple[int, ...]) -> None:
    fits = landmarks.ndim == len(shape) and all(
        want in (-1, have) for want, have in zip(shape, landmarks.shape, strict=True)
    )
    if not fits or not landmarks.is_floating_point():
        wanted = str(list(shape)).replace("-1", "B")
        raise InputError(
            f"{what}: floats of shape {wanted} are needed, got {landmarks.dtype} of shape "
            f"{list(landmarks.shape)}; pass MediaPipe's 478 points with depth"
        )
    if not bool(torch.isfinite(landmarks).all()):
        raise InputError(
            f"{what} must be finite, but some are NaN or infinite; leave out frames without a face"
        )


def _eye_distance(landmarks: Tensor, portrait: Tensor) -> float:
    distance = float((landmarks[LEFT_IRIS[0], :2] - landmarks[RIGHT_IRIS[0], :2]).norm())
    size = torch.tensor([portrait.shape[2], portrait.shape[1]], device=landmarks.device)
    inside = ((landmarks[:, :2] >= 0) & (landmarks[:, :2] < size)).all(-1).float().mean()
    if inside < 0.7:
        raise InputError(
            f"{float(inside):.0%} of the portrait's landmarks lie inside the picture, at least 70% are "
            "needed; choose a picture that shows the whole face"
        )
    if not distance >= MIN_EYE_DISTANCE_PX:
        raise InputError(
            f"the eyes are {distance:.1f} pixels apart, at least {MIN_EYE_DISTANCE_PX:g} are needed; "
            "choose a larger or less turned face"
        )
    return distance
