"""The nodes: thin wrappers around `auteur.TalkingHead`, in ComfyUI's V3 schema."""

import json
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch

from auteur.cli.performance_arguments import EMOTIONS, ROUTES
from auteur.errors import UsageError
from auteur.expression.unit_curves import keyframes_of, unit_curves_track
from auteur.facs import resolve
from auteur.media import QUALITIES, VideoWriter
from auteur.motion.grid import MOTION_RATE
from auteur.provenance import Mark
from auteur.provenance.consent import NOTE
from auteur.talking_head.talking_head import TalkingHead

try:
    from comfy_api.v0_0_2 import ComfyExtension, io  # the version that does not change
except ImportError:
    from comfy_api.latest import ComfyExtension, io

CATEGORY = "Auteur"
FROM_SPEECH = "as in the speech"
TABLES = (".csv", ".json")

Head = io.Custom("AUTEUR_HEAD")
Performance = io.Custom("AUTEUR_PERFORMANCE")
"""Keywords of `TalkingHead`, as a dict."""
Take = io.Custom("AUTEUR_TAKE")
"""A `TalkingVideo`."""


@cache
def head_of(preset: str, device: str) -> TalkingHead:
    """Returns the models of a preset, loaded once."""
    return TalkingHead.from_pretrained(preset, device=None if device == "auto" else device)


def pairs_of(text: str) -> dict[str, float]:
    """Returns the intensities in a text such as "AU12=0.6 smile_left=0.3".

    Raises:
        UsageError: It is none.
    """
    found: dict[str, float] = {}
    for word in text.replace(",", " ").split():
        name, _, value = word.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise UsageError(f"{word!r} is no control with an intensity; write AU12=0.6") from None
        resolve(name)
    return found


def curves_of(text: str) -> dict[str, Any]:
    """Returns the keyframes in a JSON text such as {"AU12": [[0, 0], [1.2, 0.8]]}.

    Raises:
        UsageError: It is no such object.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the curves are no JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError('the curves must be an object such as {"AU12": [[0, 0], [1.2, 0.8]]}')
    for name in values:
        resolve(name)
    return {name: keyframes_of(name, frames, low=0, high=1) for name, frames in values.items()}


def inside(folder: str, name: str) -> Path:
    """Returns the path of a file below a folder of ComfyUI.

    Raises:
        UsageError: It leads out of the folder, or is no table.
    """
    root = Path(folder).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or path.suffix.lower() not in TABLES:
        raise UsageError(f"{name!r} must be a .csv or .json file inside {root}")
    return path


class AuteurLoad(io.ComfyNode):
    """Loads the models."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Returns inputs and outputs."""
        return io.Schema(
            node_id="AuteurLoad",
            display_name="Auteur: load",
            category=CATEGORY,
            description="Models that ship with the package; nothing is downloaded.",
            inputs=[
                io.Combo.Input("preset", options=["compact", "fast", "warp"], default="compact"),
                io.Combo.Input("device", options=["auto", "cpu", "cuda"], default="auto"),
            ],
            outputs=[Head.Output("head", display_name="head")],
        )

    @classmethod
    def execute(cls, preset: str, device: str) -> io.NodeOutput:
        """Returns the models."""
        return io.NodeOutput(head_of(preset, device))


class AuteurPerform(io.ComfyNode):
    """Says what the face does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Returns inputs and outputs."""
        return io.Schema(
            node_id="AuteurPerform",
            display_name="Auteur: perform",
            category=CATEGORY,
            description="Emotion, Action Units and curves. `auteur units` lists the controls.",
            inputs=[
                Performance.Input("performance", optional=True, tooltip="What this one is added to"),
                io.Combo.Input("emotion", options=[FROM_SPEECH, *EMOTIONS], default=FROM_SPEECH),
                io.Float.Input("intensity", default=1.0, min=0.0, max=1.2, step=0.05),
                io.String.Input(
                    "emotion_curve", default="", optional=True, tooltip='"0s neutral, 2s happy:0.8", instead'
                ),
                io.String.Input("units", default="", optional=True, tooltip="AU12=0.6 smile_left=0.3"),
                io.String.Input(
                    "curves",
                    default="",
                    optional=True,
                    multiline=True,
                    tooltip='{"AU12": [[0, 0], [1.2, 0.8]]}',
                ),
                io.String.Input("mute", default="", optional=True, tooltip="Controls at rest: AU4 AU1"),
            ],
            outputs=[Performance.Output("performance", display_name="performance")],
        )

    @classmethod
    def execute(
        cls,
        emotion: str,
        intensity: float,
        performance: dict[str, Any] | None = None,
        emotion_curve: str = "",
        units: str = "",
        curves: str = "",
        mute: str = "",
    ) -> io.NodeOutput:
        """Returns the performance with these on top."""
        made = dict(performance or {})
        if emotion_curve.strip():
            made |= {"emotion": emotion_curve, "intensity": 1.0}
        elif emotion != FROM_SPEECH:
            made |= {"emotion": emotion, "intensity": intensity}
        if units.strip():
            made["au"] = made.get("au", {}) | pairs_of(units)
        if mute.strip():
            made["mute"] = (*made.get("mute", ()), *mute.replace(",", " ").split())
        if curves.strip():
            if "track" in made:
                raise UsageError("a performance has either curves or a track; leave out one of them")
            made["track"] = unit_curves_track(curves_of(curves), rate=MOTION_RATE, duration_sec=0)
        return io.NodeOutput(made)


class AuteurDrive(io.ComfyNode):
    """Takes the performance of an actor out of frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Returns inputs and outputs."""
        return io.Schema(
            node_id="AuteurDrive",
            display_name="Auteur: drive",
            category=CATEGORY,
            description="Tracks the face in a video: Action Units, head, gaze and blinks.",
            inputs=[
                io.Image.Input("images"),
                io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.01),
                Performance.Input("performance", optional=True),
            ],
            outputs=[Performance.Output("performance", display_name="performance")],
        )

    @classmethod
    def execute(
        cls, images: torch.Tensor, fps: float, performance: dict[str, Any] | None = None
    ) -> io.NodeOutput:
        """Returns the performance with the actor's track."""
        from auteur.face.auteur_backend import AuteurBackend
        from auteur.tracking.track_file import TrackOptions, track_file

        folder = Path(tempfile.mkdtemp(prefix="auteur-", dir=folder_paths.get_temp_directory()))
        video, table = folder / "actor.mp4", folder / "actor.csv"
        height, width = images.shape[1:3]
        size, best = (width - width % 2, height - height % 2), QUALITIES["best"]
        rate = Fraction(str(fps)).limit_denominator(1001)
        with VideoWriter(video, size_px=size, rate=rate, mark=Mark(), quality_crf=best) as writer:
            for image in images:
                writer.write(pixels_of(image[: size[1], : size[0]]))
        track_file(video, table, AuteurBackend(), TrackOptions())
        video.unlink()
        return io.NodeOutput({**(performance or {}), "track": table})


class AuteurLoadTrack(io.ComfyNode):
    """Reads a performance from a table."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Returns inputs and outputs."""
        return io.Schema(
            node_id="AuteurLoadTrack",
            display_name="Auteur: load track",
            category=CATEGORY,
            description="OpenFace, py-feat, Live Link Face, ARKit or our own; a file in the input folder.",
            inputs=[
                io.String.Input("file", default="performance.csv"),
                Performance.Input("performance", optional=True),
            ],
            outputs=[Performance.Output("performance", display_name="performance")],
        )

    @classmethod
    def execute(cls, file: str, performance: dict[str, Any] | None = None) -> io.NodeOutput:
        """Returns the performance with that track."""
        path = inside(folder_paths.get_input_directory(), file)
        return io.NodeOutput({**(performance or {}), "track": path})


class AuteurRender(io.ComfyNode):
    """Makes the video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Returns inputs and outputs."""
        return io.Schema(
            node_id="AuteurRender",
            display_name="Auteur: render",
            category=CATEGORY,
            description="Frames and sound, for Create Video or Video Combine.",
            inputs=[
                Head.Input("head"),
                io.Image.Input("portrait"),
                io.Audio.Input("speech", optional=True, tooltip="May be left out with a track"),
                Performance.Input("performance", optional=True),
                io.Int.Input("seed", default=0, min=0, max=2**31 - 1, control_after_generate=True),
                io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.01),
                io.Float.Input("head_motion", default=1.0, min=0.0, max=3.0, step=0.05),
                io.Float.Input("liveliness", default=1.0, min=0.0, max=2.0, step=0.05),
                io.Combo.Input("route", options=list(ROUTES), default="auto"),
                io.Int.Input("size", default=0, min=0, max=4096, tooltip="Longer side; 0: the portrait's"),
                io.String.Input("consent", default="", optional=True, tooltip=NOTE),
            ],
            outputs=[
                io.Image.Output("images", display_name="images"),
                io.Audio.Output("audio", display_name="audio"),
                io.Float.Output("fps", display_name="fps"),
                Take.Output("take", display_name="take"),
                io.String.Output("mark", display_name="mark"),
            ],
        )

    @classmethod
    def execute(
        cls,
        head: TalkingHead,
        portrait: torch.Tensor,
        seed: int,
        fps: float,
        head_motion: float,
        liveliness: float,
        route: str,
        size: int,
        speech: dict[str, Any] | None = None,
        performance: dict[str, Any] | None = None,
        consent: str = "",
    ) -> io.NodeOutput:
        """Returns frames, sound, rate, the take for its tracks, and how it was made."""
        said = None
        if speech is not None:
            said = (int(speech["sample_rate"]), speech["waveform"][0].cpu().numpy())
        options: dict[str, Any] = {"head": head_motion, "liveliness": liveliness, "route": route}
        if size:
            options["size"] = str(size)
        if consent.strip():
            options["consent"] = consent
        video = head(
            pixels_of(portrait[0]), said, seed=seed, fps=Fraction(str(fps)), **options, **(performance or {})
        )
        width, height = video.size_px
        images = torch.empty(len(video), height, width, 3)
        for number, frame in enumerate(video):
            images[number] = torch.from_numpy(frame[..., :3]).float() / 255
        audio = speech or sound_of(video)
        mark = json.dumps(video.mark.to_json())
        return io.NodeOutput(images, audio, float(video.fps), video, mark)


class AuteurSaveTracks(io.ComfyNode):
    """Writes requested and rendered curves and the head's pose."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Returns inputs and outputs."""
        return io.Schema(
            node_id="AuteurSaveTracks",
            display_name="Auteur: save tracks",
            category=CATEGORY,
            description="Into the output folder; each can be edited and loaded again.",
            is_output_node=True,
            inputs=[Take.Input("take"), io.String.Input("prefix", default="auteur")],
            outputs=[io.String.Output("files", display_name="files")],
        )

    @classmethod
    def execute(cls, take: Any, prefix: str) -> io.NodeOutput:
        """Returns the names of the files, one a line."""
        output = folder_paths.get_output_directory()
        number = 1
        while inside(output, f"{prefix}_{number:05}_rendered.json").exists():
            number += 1
        tracks = {"requested": take.au_track, "rendered": take.performed(), "head": take.head_track}
        names: list[str] = []
        for name, track in tracks.items():
            if track is not None:
                path = inside(output, f"{prefix}_{number:05}_{name}.json")
                path.parent.mkdir(parents=True, exist_ok=True)
                track.save(path)
                names.append(path.name)
        return io.NodeOutput("\n".join(names))


def pixels_of(image: torch.Tensor) -> np.ndarray:
    """Returns an image of ComfyUI, floats [H, W, 3 or 4] in [0, 1], as uint8 [H, W, 3]."""
    return (image[..., :3].clamp(0, 1) * 255).round().byte().cpu().contiguous().numpy()


def sound_of(video: Any) -> dict[str, Any]:
    """Returns the sound of a video that had none for an input."""
    samples = torch.from_numpy(np.array(video.sound.samples, dtype=np.float32))
    return {"waveform": samples.reshape(1, -1, samples.shape[0]), "sample_rate": video.sound.rate_hz}


class AuteurExtension(ComfyExtension):
    """All nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Returns the classes."""
        return [AuteurLoad, AuteurPerform, AuteurDrive, AuteurLoadTrack, AuteurRender, AuteurSaveTracks]


async def comfy_entrypoint() -> AuteurExtension:
    """Returns the extension; ComfyUI calls it once."""
    return AuteurExtension()
