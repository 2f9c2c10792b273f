"""`auteur track IMAGE_OR_VIDEO -o TRACK.csv`: landmarks, Action Units, pose and gaze out of footage."""

import json as json_text
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from auteur.cli.arguments import Flag, check_readable, options
from auteur.cli.console import counted, note, one_thread, progress, working
from auteur.errors import UsageError

if TYPE_CHECKING:  # importing it takes torch
    from auteur.face.backend import FaceBackend
    from auteur.face.tracker import Sighting
    from auteur.tracking.track_file import TrackSummary


@options
class TrackArguments:
    """Options of `auteur track`."""

    footage: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGE_OR_VIDEO")]
    """A picture (PNG, JPEG, WEBP) or a video of any length."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The CSV to write."""
    dense: Flag = False
    """Also write the 478 mesh points and the 52 blendshapes."""
    plot: Path | None = None
    """Also draw the Action Units over time into this PNG."""
    face: int = 0
    """Which face when there are several: 0 is the largest, 1 the next."""
    neutral: float | None = None
    """Time in seconds at which the person is at rest; Action Units are measured from there. Unless given, the
    calmest frames of the first 20 s stand in."""
    smooth: bool = True
    """Average out jitter; blinks and lip closures keep their height and are not delayed."""
    backend: Literal["auteur", "mediapipe"] = "auteur"
    """Face tracker: our own networks, or MediaPipe with --model."""
    model: Path | None = None
    """MediaPipe's face_landmarker.task."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""

    def check(self) -> None:
        """Raises `UsageError` where a value is outside its range or two do not go together."""
        if self.face < 0:
            raise UsageError(f"--face is {self.face}; it must be 0 (the largest) or more")
        if self.neutral is not None and not 0 <= self.neutral < math.inf:
            raise UsageError(f"--neutral is {self.neutral}; it must be a time in seconds, 0 or more")
        if (self.backend == "mediapipe") != (self.model is not None):
            raise UsageError("--backend mediapipe and --model face_landmarker.task go together")


def track(arguments: TrackArguments) -> int:
    """Writes the motion of a face, frame by frame, as an OpenFace-compatible table.

    One row per frame: 68 landmarks, 17 Action Unit intensities (0 to 5) and 18 presences, head pose, gaze,
    confidence and time.

    Examples:
        auteur track interview.mp4 -o interview.csv --plot interview.png
        auteur track me.mp4 -o me.csv --dense
            with the 478 mesh points and 52 blendshapes
    """
    started_sec = time.monotonic()
    arguments.check()
    check_readable(arguments.footage)
    footage, out, plot = arguments.footage, arguments.out, arguments.plot

    from auteur.media import probe
    from auteur.plots.track_plot import check_plot, plot_track

    if plot is not None:
        check_plot(plot, overwrite=arguments.overwrite)
    info = probe(footage)

    with working(f"reading {footage.name}"):
        # It takes torch: not before the input has been checked.
        from auteur.tracking.track_file import TrackOptions, track_file

        one_thread()
        reader = _backend(arguments.model)
    options = TrackOptions(
        dense=arguments.dense, smooth=arguments.smooth, face=arguments.face, neutral_sec=arguments.neutral
    )
    with progress("tracking", info.frames) as advance:
        summary = track_file(
            footage, out, reader, options, overwrite=arguments.overwrite, on_frame=advance, on_sighting=_tell
        )
    if plot is not None:
        plot_track(out, plot, overwrite=arguments.overwrite)
    result = {"output": str(out), **_result(summary, started_sec), "backend": reader.name}
    text = f"{out}: a face in {summary.frames_with_face} of {counted(summary.frames, 'frame')}"
    print(json_text.dumps(result) if arguments.json else text)
    return 0


def _tell(sighting: "Sighting") -> None:
    if sighting.faces > 1:
        note(f"{sighting.faces} faces: following number {sighting.chosen}; choose another with --face")


def _result(summary: "TrackSummary", started_sec: float) -> dict[str, int | float | str]:
    missing = summary.frames - summary.frames_with_face
    if missing:
        note(f"no usable face in {missing} of {summary.frames} frames; their rows have success 0")
    return {
        "frames": summary.frames,
        "frames_with_face": summary.frames_with_face,
        "fps": str(summary.rate),
        "seconds": round(time.monotonic() - started_sec, 3),
    }


def _backend(model: Path | None) -> "FaceBackend":
    if model is not None:
        from auteur.face.mediapipe_backend import MediaPipeBackend

        return MediaPipeBackend(model)
    from auteur.face.auteur_backend import AuteurBackend

    return AuteurBackend()
