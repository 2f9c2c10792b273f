"""Valid files of every kind that Auteur reads, tiny, and what reads each: the beginning of `fuzz.py`."""

import json
import pickle
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors.torch import save_file

from auteur.batch.jobs import read_jobs
from auteur.errors import FormatError
from auteur.evaluate import protocols
from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.expression.audio_lm.emotion_classifier import EmotionClassifierConfig
from auteur.expression.generator.network import ExpressionGenerator, GeneratorConfig
from auteur.expression.regressor import Regressor, RegressorConfig
from auteur.facs import CONVENTIONS
from auteur.formats import LiveLinkTake, OpenFaceRow, OpenFaceWriter, live_link_text, read_au_track
from auteur.formats.flame import read_flame_parameters
from auteur.media import VideoReader, VideoWriter, probe, read_audio, read_image, write_audio, write_image
from auteur.motion.generator import MotionConfig, MotionGenerator
from auteur.provenance import Mark, verify
from auteur.signals import AUTrack, LandmarkTrack, Waveform, load_track
from auteur.speech.features import CompactSpeechEncoder, CompactSpeechFeatures
from auteur.speech.network import CompactSpeechConfig
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.conditioners.past import PastConfig
from auteur.synthesis.conditioners.reference import ReferenceConfig
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig, TemporalConfig, UNetConfig
from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser
from auteur.weights import load_model, metadata_of
from auteur.weights.hub import from_pretrained, save_pretrained


@dataclass(frozen=True)
class Reader:
    """One door for files from outside."""

    read: Callable[[Path], Any]
    make: Callable[[Path], list[Path]]
    """Writes valid files into a folder and returns those that are to be damaged, one at a time."""
    of: str
    """Which family, as the table of results names it."""


def _picture() -> np.ndarray[Any, Any]:
    red, green = np.meshgrid(np.linspace(0, 255, 64), np.linspace(0, 255, 48))
    return np.stack([red, green, red[::-1]], axis=2).astype(np.uint8)


def _wave(seconds: float = 0.3) -> Waveform:
    times_sec = np.arange(round(seconds * 16_000)) / 16_000
    return Waveform(samples=(0.5 * np.sin(2800 * times_sec)).astype(np.float32), rate_hz=16_000)


def _pictures(folder: Path) -> list[Path]:
    paths = [folder / f"a.{kind}" for kind in ("png", "jpg", "webp")]
    for path in paths:
        write_image(path, _picture(), mark=Mark())
    return paths


def _sounds(folder: Path) -> list[Path]:
    import soundfile

    paths = [folder / f"a.{kind}" for kind in ("wav", "flac", "ogg", "mp3")]
    write_audio(paths[0], _wave(), mark=Mark())
    for path in paths[1:]:
        soundfile.write(path, _wave().samples, 16_000)
    return paths


def _videos(folder: Path) -> list[Path]:
    paths = [folder / f"a.{kind}" for kind in ("mp4", "mkv", "mov", "avi", "flv")]
    with VideoWriter(paths[0], size_px=(64, 48), rate=25, mark=Mark(), audio=_wave()) as video:
        for _ in range(6):
            video.write(_picture())
    for path in paths[1:]:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.max_b_frames = 0
            for number in range(6):
                frame = av.VideoFrame.from_ndarray(_picture()).reformat(format="yuv420p")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return paths


def _read_video(path: Path) -> None:
    probe(path)
    with VideoReader(path) as video:
        for _ in video:
            pass


def _marked(folder: Path) -> list[Path]:
    mark = Mark(models={"motion": "1"}, inputs={"speech": "ab" * 32}, settings={"au": {"AU1": 1.0}}, seed=7)
    write_image(folder / "a.png", _picture(), mark=mark)
    return [folder / "a.png.json", folder / "a.png"]


def _verify(path: Path) -> None:
    "\n".join(verify(path.with_name("a.png")).lines()).encode()


def _units(convention: str, frames: int = 12) -> AUTrack:
    channels = CONVENTIONS[convention].channels
    values = np.random.default_rng(0).random((frames, len(channels)), np.float32)
    return AUTrack(values=values, rate=Fraction(25), channels=channels, convention=convention)


def _tables(folder: Path) -> list[Path]:
    paths = [folder / f"{kind}.csv" for kind in ("ours", "openface", "fex", "live")]
    _units("openface17").save(paths[0])
    with paths[1].open("w", encoding="utf-8") as text:
        writer = OpenFaceWriter(text)
        for frame in range(6):
            writer.write(
                OpenFaceRow(
                    frame=frame + 1, timestamp_sec=frame / 25, intensities=np.ones(17), pose=np.zeros(6)
                )
            )
    names = [f"AU{number:02d}" for number in (1, 2, 4, 6, 12)]
    rows = [f"{frame},{','.join(['0.5'] * 5)},10,20,me.jpg" for frame in range(6)]
    header = ",".join(["frame", *names, "FaceRectWidth", "FaceRectHeight", "input"])
    paths[2].write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    take = LiveLinkTake(
        shapes=_units("arkit52"), angles=np.zeros((12, 9), np.float32), first_timecode_sec=Fraction(3600)
    )
    paths[3].write_text(live_link_text(take), encoding="utf-8")
    return paths


def _tracks(folder: Path) -> list[Path]:
    paths = [folder / "au.json", folder / "landmarks.json"]
    _units("facs" if "facs" in CONVENTIONS else "openface17").save(paths[0])
    LandmarkTrack(
        values=np.zeros((4, 68, 2), np.float32),
        rate=Fraction(25),
        convention="ibug68",
        image_size_px=(64, 48),
    ).save(paths[1])
    return paths


def _read_track(path: Path) -> None:
    load_track(path).resample(25)


def _jobs(folder: Path) -> list[Path]:
    _pictures(folder)
    _sounds(folder)
    lines = [
        {"portrait": "a.png", "speech": "a.wav", "seed": 1, "au": {"smile": 0.5}, "output": "x/1.mp4"},
        {"portrait": "a.jpg", "speech": "a.wav", "fps": "30000/1001", "mute": ["AU12"], "face": 0},
        {"portrait": "a.png", "speech": "a.flac", "fps": 29.97, "emotion_curve": "0s sad, 1s happy:0.5"},
    ]
    (folder / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return [folder / "jobs.jsonl"]


def _weights(folder: Path) -> list[Path]:
    torch.manual_seed(0)
    ear = EmotionClassifierConfig(width=4, hidden=8, voters=2)
    models: dict[str, tuple[str, torch.nn.Module]] = {
        "audio_lm": ("audio_lm", AudioLM(AudioLMConfig(width=16, layers=1, heads=2, sound=8, ear=ear))),
        "expression_generator": ("expression_generator", ExpressionGenerator(GeneratorConfig(hidden=16))),
        "motion": (
            "motion_generator",
            MotionGenerator(MotionConfig(code=8, hidden=8, latent=4, flow_hidden=6, flow_layers=2)),
        ),
        "regressor": ("regressor", Regressor(RegressorConfig(width=8, dilations=(1, 2)))),
        "speech_encoder": (
            "speech_encoder",
            CompactSpeechEncoder(CompactSpeechConfig(width=16, embedding=8)),
        ),
    }
    for name, (kind, model) in models.items():
        save_file(
            model.state_dict(),
            folder / f"{name}.safetensors",
            metadata=metadata_of(kind, model.config),  # pyright: ignore[reportArgumentType]
        )
    save_denoiser(build_denoiser(_denoiser(), seed=0), folder / "denoiser.safetensors")
    return [folder / f"{name}.safetensors" for name in _LOADERS]


def _denoiser() -> DenoiserConfig:
    unet = UNetConfig(widths=(8, 16), attends=(False, True), layers=1, heads=2, groups=4, context_width=None)
    return DenoiserConfig.of(
        channels=3,
        process="flow",
        unet=unet,
        temporal=TemporalConfig(levels=(False, True), middle=False, heads=2, groups=4),
        reference=ReferenceConfig(),
        au=AUConfig(form="sequence", action_units=4, width=8, head=8),
        past=PastConfig(frames=2, head=8),
    )


_LOADERS: dict[str, Callable[[Path], Any]] = {
    "audio_lm": lambda path: load_model(path, AudioLM),
    "denoiser": load_denoiser,
    "expression_generator": lambda path: load_model(path, ExpressionGenerator),
    "motion": lambda path: load_model(path, MotionGenerator),
    "regressor": lambda path: load_model(path, Regressor),
    "speech_encoder": CompactSpeechFeatures.from_file,
}


def _folder(folder: Path) -> list[Path]:
    save_pretrained("habits", folder / "model")
    return [folder / "model" / "config.json"]


def _flame(folder: Path) -> list[Path]:
    arrays = {"exp": np.zeros((4, 50), np.float32), "pose": np.zeros((4, 6)), "fps": np.array(25)}
    paths = [folder / f"p{protocol}.pkl" for protocol in range(6)]
    for protocol, path in enumerate(paths):
        path.write_bytes(pickle.dumps({**arrays, "name": "clip", "list": [[1, 2], (3,)]}, protocol=protocol))
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "small.npz", **arrays)
    (folder / "emoca").mkdir()
    np.save(folder / "emoca" / "exp.npy", arrays["exp"])
    return [*paths, folder / "plain.npz", folder / "small.npz", folder / "emoca" / "exp.npy"]


def _protocols(folder: Path) -> list[Path]:
    text = (Path(protocols.__file__).parent / "pairs.toml").read_text(encoding="utf-8")
    (folder / "pairs.toml").write_text(text, encoding="utf-8")
    return [folder / "pairs.toml"]


def _read_protocol(path: Path) -> None:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(str(error)) from error
    protocols.from_table(table | {"name": "fuzzed"})


READERS: dict[str, Reader] = {
    "pictures": Reader(read_image, _pictures, "pictures"),
    "sound": Reader(read_audio, _sounds, "sound"),
    "video": Reader(_read_video, _videos, "video"),
    "tables": Reader(read_au_track, _tables, "tables"),
    "tracks": Reader(_read_track, _tracks, "our JSON"),
    "jobs": Reader(lambda path: list(read_jobs(path, defaults={}, paints=True)), _jobs, "our JSON"),
    "marks": Reader(_verify, _marked, "our JSON"),
    "models": Reader(lambda path: from_pretrained("habits", path.parent), _folder, "our JSON"),
    "weights": Reader(lambda path: _LOADERS[path.stem](path), _weights, "weights"),
    "flame": Reader(
        lambda path: read_flame_parameters(path.parent if path.suffix == ".npy" else path), _flame, "FLAME"
    ),
    "protocols": Reader(_read_protocol, _protocols, "TOML"),
}
"""By what --readers names."""
