"""`auteur track IMAGE_OR_VIDEO -o TRACK.csv`: landmarks, Action Units, pose and gaze out of footage."""

import json as json_text
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from auteur.cli.console import note, progress
from auteur.errors import UsageError
from auteur.media import probe

if TYPE_CHECKING:  # importing it takes torch
    from auteur.face.backend import FaceBackend
    from auteur.face.tracker import Sighting
    from auteur.pipelines.tracking import TrackSummary


def track(
    footage: tyro.conf.Positional[Path],
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    dense: tyro.conf.FlagCreatePairsOff[bool] = False,
    plot: Path | None = None,
    face: int = 0,
    neutral: float | None = None,
    smooth: bool = True,
    backend: Literal["auteur", "mediapipe"] = "auteur",
    model: Path | None = None,
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False,
    json: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Writes what a face does, frame by frame, as an OpenFace-compatible table.

    One row per frame: 68 landmarks, 17 Action Unit intensities (0 to 5) and 18 presences, head pose, gaze,
    confidence and time.

    Example: auteur track interview.mp4 -o interview.csv --plot interview.png

    Args:
        footage: A picture (PNG, JPEG, WEBP) or a video of any length.
        out: The CSV to write.
        dense: Also write the 478 mesh points and the 52 blendshapes.
        plot: Also draw the Action Units over time into this PNG.
        face: Which face when there are several: 0 is the largest, 1 the next.
        neutral: Time in seconds at which the person is at rest; Action Units are measured from there. Unless
            given, the calmest frames of the first 20 s stand in.
        smooth: Average out jitter; blinks and lip closures keep their height and are not delayed.
        backend: What reads faces: our own network, or MediaPipe with --model.
        model: MediaPipe's face_landmarker.task.
        overwrite: Replace files that exist.
        json: End with one JSON object on standard output.

    Returns:
        Exit code.
    """
    from auteur.pipelines.plotting import check_plot, plot_track

    started_sec = time.monotonic()
    _check(face, neutral, backend, model)
    if plot is not None:
        check_plot(plot, overwrite=overwrite)
    info = probe(footage)

    # It takes torch: not before the input is known to be good.
    from auteur.pipelines.tracking import TrackOptions, track_file

    reader = _backend(model)
    options = TrackOptions(dense=dense, smooth=smooth, face=face, neutral_sec=neutral)
    with progress("tracking", info.frames) as advance:
        summary = track_file(
            footage, out, reader, options, overwrite=overwrite, on_frame=advance, on_sighting=_tell
        )
    if plot is not None:
        plot_track(out, plot, overwrite=overwrite)
    result = {"output": str(out), **_result(summary, started_sec), "backend": reader.name}
    text = f"{out}: {summary.frames_with_face} of {summary.frames} frames"
    print(json_text.dumps(result) if json else text)
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


def _check(face: int, neutral: float | None, backend: str, model: Path | None) -> None:
    if face < 0:
        raise UsageError(f"--face is {face}; it must be 0 (the largest) or more")
    if neutral is not None and not 0 <= neutral < math.inf:
        raise UsageError(f"--neutral is {neutral}; it must be a time in seconds, 0 or more")
    if (backend == "mediapipe") != (model is not None):
        raise UsageError("--backend mediapipe and --model face_landmarker.task go together")


def _backend(model: Path | None) -> "FaceBackend":
    if model is not None:
        from auteur.face.mediapipe_backend import MediaPipeBackend

        return MediaPipeBackend(model)
    from auteur.face.auteur_backend import AuteurBackend

    return AuteurBackend()
