"""`auteur evaluate GENERATED REFERENCE -o REPORT_DIR`: how good videos are, with intervals and baselines."""

import json as json_text
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import Flag, Pairs, choice, options
from auteur.cli.console import counted, note, one_thread, progress
from auteur.errors import PartialError, UsageError

if TYPE_CHECKING:  # importing it takes torch
    from auteur.evaluate.evaluation import Evaluation
    from auteur.evaluate.pairing import Clip
    from auteur.evaluate.protocols import Protocol
    from auteur.evaluate.scoring import ClipScorer
    from auteur.evaluate.streams import Networks


PROTOCOLS = (
    *("auhead-table1", "auhead-table2", "auhead-table3", "auhead-figure3"),
    *("emodiffhead-comparison", "emodiffhead-intensity", "aulandmark-table1", "aulandmark-table2"),
    *("user-study", "user-study-tally"),
    *("pairs", "mead-truth", "mead-predicted", "cremad-truth", "cremad-predicted"),
    *("self-reenactment", "cross-identity", "au-sweep", "emotion-sweep", "long-audio", "noise-and-silence"),
)
"""Names of `auteur.evaluate.protocols`: those of papers, then those that score videos, then the others."""
_OF_PAPERS = ("paper_videos", "paper_units")


@options
class EvaluateArguments:
    """Options of `auteur evaluate`."""

    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """GENERATED REFERENCE: videos, or folders of videos paired by name. With --reference: one or more systems
    to compare. With a --protocol that makes its own videos: real videos or portraits. With a --protocol of a
    paper: what auteur prepare wrote, or a folder of videos such as M003_happy_3_001.mp4. With --protocol
    user-study: a folder of videos per system; with user-study-tally: the answers."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("report")
    """Folder for report.html, report.json, summary.csv and clips.csv; its own folder must exist."""
    reference: Path | None = None
    """Real videos, when inputs are systems to compare with each other."""
    requests: Path | None = None
    """Folder of the requested Action Unit tracks, NAME.csv or NAME.json; the real video's own
    Action Units unless given."""
    protocol: Annotated[str, choice(*PROTOCOLS)] = "pairs"
    """Measures and their settings. Those of papers and all from self-reenactment on make their own videos."""
    speech: Path | None = None
    """Recording for the protocols that need one."""
    systems: Pairs = ()
    """Systems for the rows of a paper's table: NAME=FOLDER, where NAME is one of the protocol's (it names
    them) and FOLDER is what `auteur generate --preset` takes. The compact set unless given."""
    any_people: Flag = False
    """Score all held-out people of the corpus, not only those of the paper; the report states it."""
    clips: int = 0
    """Number of clips of the corpus, evenly spread; all unless given."""
    device: Annotated[str | None, choice("cpu", "cuda")] = None
    """Where the systems' denoisers run."""
    seed: int = 0
    """Of the order and the sides of a user study."""
    pairs: int = 32
    """Pairs of videos that a rater of a user study sees."""
    key: Path | None = None
    """The key.json of a user study, for its tally."""
    baselines: bool = True
    """Also score the first real frame held still and warped."""
    lpips_weights: Path | None = None
    """What safetensors.torch.save_model(lpips.LPIPS(net="alex"), FILE) writes; adds LPIPS."""
    inception_weights: Path | None = None
    """torch-fidelity's Inception weights; adds FID."""
    i3d_weights: Path | None = None
    """I3D as TorchScript; adds FVD."""
    syncnet_weights: Path | None = None
    """SyncNet v2 as safetensors; adds LSE-C and LSE-D."""
    identity_weights: Path | None = None
    """Face recognition network (ArcFace's kind) as TorchScript or ONNX; adds CSIM."""
    emotion_classifier: Path | None = None
    """Emotion classifier of faces as TorchScript or ONNX, with FILE.json beside it that names its labels; the
    prototypes' unless given."""
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
        auteur evaluate shards/ --protocol aulandmark-table1 -o report
            a paper's table on the held-out people of a prepared corpus, beside the published numbers
        auteur evaluate ours/ theirs/ --protocol user-study -o study
            a page of randomised pairs for raters, and its key apart
    """
    started_sec = time.monotonic()

    # It takes torch.
    from auteur.evaluate import protocols
    from auteur.evaluate.published_tables import table_lines
    from auteur.evaluate.report import write_report
    from auteur.evaluate.report.writer import REPORT_FILES
    from auteur.files import check_folder

    protocol = protocols.load(arguments.protocol)
    if not arguments.inputs:
        raise UsageError("nothing to evaluate; give GENERATED REFERENCE, such as made/ real/")
    _check_options(arguments, protocol)
    check_folder(arguments.out, overwrite=arguments.overwrite, names=REPORT_FILES)
    if protocol.kind == "user_study":
        return _study(arguments)
    one_thread()
    evaluation = _evaluated(arguments, protocol)
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
    if arguments.json:
        print(json_text.dumps(result))
    else:
        if protocol.published or protocol.kind in _OF_PAPERS:
            print("\n".join(line for table in evaluation.tables for line in table_lines(table)))
        clips, tables = len(evaluation.clips), len(evaluation.tables)
        print(f"{paths[0]}: {counted(clips, 'clip') if clips or not tables else counted(tables, 'table')}")
    return PartialError.exit_code if evaluation.failures else 0


def _check_options(arguments: EvaluateArguments, protocol: "Protocol") -> None:
    """Refuses options that have no effect with a protocol."""
    is_of_paper = protocol.kind in _OF_PAPERS
    for name, is_given in (
        ("--systems", bool(arguments.systems)),
        ("--any-people", arguments.any_people),
        ("--clips", arguments.clips != 0),
        ("--device", arguments.device is not None),
    ):
        if is_given and not is_of_paper:
            raise UsageError(f"{name}: no effect with --protocol {protocol.name}; it is for those of papers")
    makes_videos = protocol.kind not in ("pairs", "user_study", "user_study_tally")
    if makes_videos and (arguments.reference is not None or arguments.requests is not None):
        raise UsageError(
            f"--protocol {protocol.name} makes its own videos; leave --reference and --requests away"
        )
    if arguments.clips < 0:
        raise UsageError(f"--clips is {arguments.clips}; it must be 1 or more")
    if (arguments.key is not None) != (protocol.kind == "user_study_tally"):
        raise UsageError("--key names the key.json of a user study, for --protocol user-study-tally")


def _evaluated(arguments: EvaluateArguments, protocol: "Protocol") -> "Evaluation":
    if protocol.kind == "pairs":
        return _pairs(arguments, protocol)
    if protocol.kind in _OF_PAPERS:
        return _paper(arguments, protocol)
    if protocol.kind != "user_study_tally":
        return _made(arguments, protocol)
    from auteur.evaluate.emotion import PrototypeClassifier
    from auteur.evaluate.evaluation import Evaluation
    from auteur.evaluate.user_study import tally

    assert arguments.key is not None  # noqa: S101 - `_check_options` came first
    table = tally(protocol, arguments.inputs, arguments.key)
    return Evaluation(protocol, PrototypeClassifier.name, (), tables=(table,))


def _paper(arguments: EvaluateArguments, protocol: "Protocol") -> "Evaluation":
    from auteur.evaluate.paper_protocols import PaperRun, run_paper_videos
    from auteur.evaluate.unit_protocol import run_paper_units

    with counting(protocol.name) as step:
        run = PaperRun(
            out=arguments.out,
            systems=_systems_named(arguments.systems),
            device=arguments.device,
            any_people=arguments.any_people,
            most_clips=arguments.clips,
            notes=_weights_given(arguments),
            on_frame=step,
        )
        if protocol.kind == "paper_units":
            return run_paper_units(protocol, arguments.inputs, run)
        scorer = _scorer(arguments, protocol)  # its weights are checked before anything is made
        return run_paper_videos(protocol, arguments.inputs, run, lambda: scorer)


def _systems_named(pairs: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, folder = pair.partition("=")
        if not (name and equals and folder) or name in found:
            raise UsageError(
                f"--systems {pair!r} is not NAME=FOLDER with a name of its own, such as lines=runs/lmk"
            )
        found[name] = folder
    return found


def _study(arguments: EvaluateArguments) -> int:
    from auteur.evaluate.user_study import make_study

    page, key = make_study(
        {_label(path): path for path in arguments.inputs},
        arguments.out,
        seed=arguments.seed,
        most=arguments.pairs,
        overwrite=arguments.overwrite,
    )
    text = f"{page}: the page for raters, with its videos beside it; {key}: the key, which stays with you"
    print(json_text.dumps({"output": str(page), "key": str(key)}) if arguments.json else text)
    return 0


@contextmanager
def counting(what: str, total: int | None = None) -> "Iterator[Callable[[], None]]":
    """Yields a function to call for every frame, which moves a bar; without a total it has no end."""
    with progress(what, total) as advance:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            advance(done)

        yield step


def _pairs(arguments: EvaluateArguments, protocol: "Protocol") -> "Evaluation":
    from auteur.evaluate.evaluation import evaluate_clips
    from auteur.evaluate.pairing import find_clips

    systems, reference = _systems(arguments)
    clips, notes = find_clips(systems, reference, requests=arguments.requests)
    scorer = _scorer(arguments, protocol)
    with counting("scoring", _frames_of(clips, protocol)) as step:
        return evaluate_clips(clips, scorer, notes=notes, settings=_weights_given(arguments), on_frame=step)


def _made(arguments: EvaluateArguments, protocol: "Protocol") -> "Evaluation":
    from auteur.evaluate.performances import run_protocol

    with counting(protocol.name) as step:
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

    classifier = None
    if arguments.emotion_classifier is not None:
        from auteur.evaluate.judges import NetworkEmotionClassifier

        classifier = NetworkEmotionClassifier(arguments.emotion_classifier)
    return ClipScorer(
        protocol,
        AuteurBackend(),
        _networks(arguments),
        classifier=classifier,
        baselines=arguments.baselines,
    )


def _networks(arguments: EvaluateArguments) -> "Networks":
    from auteur.evaluate.face_features import FaceFeatureNet
    from auteur.evaluate.judges import IdentityNetwork
    from auteur.evaluate.reference_networks import I3d, Inception, Lpips
    from auteur.evaluate.streams import Networks
    from auteur.evaluate.syncnet import load_syncnet

    return Networks(
        FaceFeatureNet(),
        lpips=Lpips(arguments.lpips_weights) if arguments.lpips_weights else None,
        inception=Inception(arguments.inception_weights) if arguments.inception_weights else None,
        i3d=I3d(arguments.i3d_weights) if arguments.i3d_weights else None,
        syncnet=load_syncnet(arguments.syncnet_weights) if arguments.syncnet_weights else None,
        identity=IdentityNetwork(arguments.identity_weights) if arguments.identity_weights else None,
    )


def _weights_given(arguments: EvaluateArguments) -> dict[str, str]:
    from auteur.provenance import hash_file

    given = {
        "LPIPS weights": arguments.lpips_weights,
        "Inception weights": arguments.inception_weights,
        "I3D weights": arguments.i3d_weights,
        "SyncNet weights": arguments.syncnet_weights,
        "identity network": arguments.identity_weights,
        "emotion classifier": arguments.emotion_classifier,
    }
    return {name: f"SHA-256 {hash_file(path)[:12]}" for name, path in given.items() if path is not None}


def _frames_of(clips: "Sequence[Clip]", protocol: "Protocol") -> int | None:
    """Frames that will be scored, by the lengths that files state; None where none does."""
    from auteur.errors import MediaError
    from auteur.media import probe

    total = 0
    for clip in clips:
        try:
            seconds = float(probe(clip.reference).duration_sec or 0)
        except MediaError:
            continue
        total += round(min(seconds, protocol.longest_sec or seconds) * protocol.fps)
    return total or None


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None
