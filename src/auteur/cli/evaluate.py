"""`auteur evaluate GENERATED REFERENCE -o REPORT_DIR`: how good videos are, with intervals and baselines."""

import json as json_text
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import Flag, choice, options
from auteur.cli.console import counted, note, one_thread, progress
from auteur.errors import PartialError, UsageError

if TYPE_CHECKING:  # importing it takes torch
    from auteur.evaluate.evaluation import Evaluation
    from auteur.evaluate.pairing import Clip
    from auteur.evaluate.protocols import Protocol
    from auteur.evaluate.scoring import ClipScorer
    from auteur.evaluate.streams import Networks


PROTOCOLS = (
    *("pairs", "mead-truth", "mead-predicted", "cremad-truth", "cremad-predicted"),
    *("self-reenactment", "cross-identity", "au-sweep", "emotion-sweep", "long-audio", "noise-and-silence"),
)
"""Names of `auteur.evaluate.protocols`, those that score videos first."""


@options
class EvaluateArguments:
    """Options of `auteur evaluate`."""

    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """GENERATED REFERENCE: videos, or folders of videos paired by name. With --reference: one or more systems
    to compare. With a --protocol that makes its own videos: real videos or portraits."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("report")
    """Folder for report.html, report.json, summary.csv and clips.csv; its own folder must exist."""
    reference: Path | None = None
    """Real videos, when inputs are systems to compare with each other."""
    requests: Path | None = None
    """Folder of the requested Action Unit tracks, NAME.csv or NAME.json; the real video's own
    Action Units unless given."""
    protocol: Annotated[str, choice(*PROTOCOLS)] = "pairs"
    """Measures and their settings. All from self-reenactment on make their own videos."""
    speech: Path | None = None
    """Recording for the protocols that need one."""
    baselines: bool = True
    """Also score the first real frame held still and warped."""
    lpips_weights: Path | None = None
    """State of lpips.LPIPS(net="alex") as safetensors; adds LPIPS."""
    inception_weights: Path | None = None
    """torch-fidelity's Inception weights; adds FID."""
    i3d_weights: Path | None = None
    """I3D as TorchScript; adds FVD."""
    syncnet_weights: Path | None = None
    """SyncNet v2 as safetensors; adds LSE-C and LSE-D."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""


def evaluate(arguments: EvaluateArguments) -> int:
    """Scores videos against real ones, or against each other, and writes a report.

    The real video, its first frame held still and its first frame warped are rows too. Videos are read by
    time, so lengths and rates may differ; differences are reported.

    Examples:
        auteur evaluate made/ real/ -o report
        auteur evaluate ours/ theirs/ --reference real/ -o report
            two systems side by side
        auteur evaluate portraits/ --protocol au-sweep --speech talk.wav -o report
            every Action Unit alone, on videos made for it
    """
    started_sec = time.monotonic()

    # It takes torch.
    from auteur.evaluate import protocols
    from auteur.evaluate.report import write_report
    from auteur.evaluate.report.writer import REPORT_FILES
    from auteur.files import check_folder

    protocol = protocols.load(arguments.protocol)
    if not arguments.inputs:
        raise UsageError("nothing to evaluate; give GENERATED REFERENCE, such as made/ real/")
    check_folder(arguments.out, overwrite=arguments.overwrite, names=REPORT_FILES)
    one_thread()
    evaluation = _pairs(arguments, protocol) if protocol.kind == "pairs" else _made(arguments, protocol)
    for line in (*evaluation.failures, *evaluation.notes):
        note(line)
    paths = write_report(evaluation, arguments.out, overwrite=arguments.overwrite)
    result = {
        "output": str(paths[0]),
        "protocol": protocol.name,
        "clips": len(evaluation.clips),
        "failed": len(evaluation.failures),
        "seconds": round(time.monotonic() - started_sec, 3),
        "systems": {
            system: {name: _finite(e.mean) for name, e in metrics.items()}
            for system, metrics in evaluation.summary.items()
        },
        "tables": [table.title for table in evaluation.tables],
    }
    print(
        json_text.dumps(result) if arguments.json else f"{paths[0]}: {counted(len(evaluation.clips), 'clip')}"
    )
    return PartialError.exit_code if evaluation.failures else 0


def _pairs(arguments: EvaluateArguments, protocol: "Protocol") -> "Evaluation":
    from auteur.evaluate.evaluation import evaluate_clips
    from auteur.evaluate.pairing import find_clips

    systems, reference = _systems(arguments)
    clips, notes = find_clips(systems, reference, requests=arguments.requests)
    scorer = _scorer(arguments, protocol)
    with _frames_bar("scoring", clips, protocol) as step:
        return evaluate_clips(clips, scorer, notes=notes, settings=_weights_given(arguments), on_frame=step)


def _made(arguments: EvaluateArguments, protocol: "Protocol") -> "Evaluation":
    from auteur.evaluate.performances import run_protocol

    if arguments.reference is not None or arguments.requests is not None:
        raise UsageError(
            f"--protocol {protocol.name} makes its own videos; leave --reference and --requests away"
        )
    with progress(protocol.name, None) as advance:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            advance(done)

        return run_protocol(
            protocol,
            arguments.inputs,
            arguments.out,
            speech=arguments.speech,
            scorer=lambda: _scorer(arguments, protocol),
            settings=_weights_given(arguments),
            overwrite=arguments.overwrite,
            on_frame=step,
        )


def _systems(arguments: EvaluateArguments) -> tuple[dict[str, Path], Path]:
    """Folders of the systems by distinct names, and the real videos."""
    inputs = arguments.inputs
    if arguments.reference is None:
        if len(inputs) != 2:
            raise UsageError(
                f"{len(inputs)} inputs; give GENERATED REFERENCE, or systems with --reference REAL"
            )
        return {_label(inputs[0]): inputs[0]}, inputs[1]
    names = [_label(path) for path in inputs]
    if len(set(names)) < len(names):
        names = [str(path) for path in inputs]
    if len(set(names)) < len(names):
        raise UsageError(f"the same system is given twice: {', '.join(names)}")
    return dict(zip(names, inputs, strict=True)), arguments.reference


def _label(path: Path) -> str:
    from auteur.evaluate.scoring import BASELINES

    name = path.resolve().name
    return f"{name} (given)" if name in BASELINES else name


def _scorer(arguments: EvaluateArguments, protocol: "Protocol") -> "ClipScorer":
    from auteur.evaluate.scoring import ClipScorer
    from auteur.face.auteur_backend import AuteurBackend

    return ClipScorer(protocol, AuteurBackend(), _networks(arguments), baselines=arguments.baselines)


def _networks(arguments: EvaluateArguments) -> "Networks":
    from auteur.evaluate.face_features import FaceFeatureNet
    from auteur.evaluate.reference_networks import I3d, Inception, Lpips
    from auteur.evaluate.streams import Networks
    from auteur.evaluate.syncnet import load_syncnet

    return Networks(
        FaceFeatureNet(),
        lpips=Lpips(arguments.lpips_weights) if arguments.lpips_weights else None,
        inception=Inception(arguments.inception_weights) if arguments.inception_weights else None,
        i3d=I3d(arguments.i3d_weights) if arguments.i3d_weights else None,
        syncnet=load_syncnet(arguments.syncnet_weights) if arguments.syncnet_weights else None,
    )


def _weights_given(arguments: EvaluateArguments) -> dict[str, str]:
    from auteur.provenance import hash_file

    given = {
        "LPIPS weights": arguments.lpips_weights,
        "Inception weights": arguments.inception_weights,
        "I3D weights": arguments.i3d_weights,
        "SyncNet weights": arguments.syncnet_weights,
    }
    return {name: f"SHA-256 {hash_file(path)[:12]}" for name, path in given.items() if path is not None}


@contextmanager
def _frames_bar(what: str, clips: "Sequence[Clip]", protocol: "Protocol") -> Iterator:
    from auteur.errors import MediaError
    from auteur.media import probe

    total = 0
    for clip in clips:
        try:
            seconds = float(probe(clip.reference).duration_sec or 0)
        except MediaError:
            continue
        total += round(min(seconds, protocol.longest_sec or seconds) * protocol.fps)
    done = 0
    with progress(what, total or None) as advance:

        def step() -> None:
            nonlocal done
            done += 1
            advance(done)

        yield step


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None
