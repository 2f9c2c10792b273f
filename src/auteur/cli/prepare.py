"""`auteur prepare DATASET_DIR --kind mead -o SHARDS`: a corpus on disk becomes shards that training reads."""

import json as json_text
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from auteur.cli.arguments import Flag, options
from auteur.cli.console import counted, note, span
from auteur.errors import PartialError, UsageError

if TYPE_CHECKING:  # importing it takes torch
    from auteur.engines import Engine
    from auteur.lab.prepare import PrepareOptions, Progress, Summary
    from auteur.lab.prepare.features import AddedFeature, FeatureInputs

SAY_EVERY_SEC = 60.0
"""Seconds between lines about the state where there is no terminal."""


@options
class FeatureArguments:
    """What features are made with."""

    vae: Path | None = None
    """For latents: folder of an AutoencoderKL of diffusers, such as sd-vae-ft-mse."""
    wav2vec: Path | None = None
    """For wav2vec: folder of a wav2vec 2.0 of transformers."""
    hubert: Path | None = None
    """For hubert: folder of a HuBERT of transformers."""
    clip: Path | None = None
    """For identity: folder of a CLIP image encoder of transformers."""
    published: Path | None = None
    """For published: folder of Hallo or MEMO that auteur convert wrote."""
    speech_encoder: Path | None = None
    """For speech: weights of a compact encoder; the shipped lip encoder unless given."""
    fold_encoders: tuple[Path, ...] = ()
    """For speech: encoders that were each trained without one fold of people."""
    copies: int = 0
    """For speech: augmented copies of the sound, whose features training may read instead."""
    feature_px: int = 512
    """Side of latents and drawings in pixels of the picture."""
    view_px: int = 128
    """Side of the compact denoiser's clips in pixels."""
    drawing: Literal["lines", "mesh"] = "lines"
    """How Action Units are drawn for an adapter."""
    device: Literal["", "cpu", "cuda"] = ""
    """Where networks run; CUDA where there is one, unless given."""


@options
class PrepareArguments:
    """Options of `auteur prepare`."""

    dataset: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DATASET")] = None
    """Root of the corpus, as it was published. It is only read. Not needed to add features to shards."""
    kind: Literal["mead", "hdtf", "cremad", "ravdess", "folder", "speech", "photos"] | None = None
    """How it is laid out; "folder" is your own videos with a recordings.csv, "speech" recordings without
    pictures, "photos" photographs of faces."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for the shards, the index, the list of what was rejected and the report."""
    features: str | None = None
    """Features to add to the shards, such as motion,speech: what a recipe needs beyond the common record."""
    inputs: Annotated[FeatureArguments, tyro.conf.arg(name="")] = field(default_factory=FeatureArguments)
    engine: Literal["local", "ray"] = "local"
    """Processes of this machine, or Ray: its own, or the cluster that --ray-address or RAY_ADDRESS names."""
    workers: int | None = None
    """How many recordings are worked on at a time; one per core of this machine unless given."""
    ray_address: str | None = None
    """A running Ray cluster, such as auto or head:6379; else RAY_ADDRESS, else this machine."""
    annotations: Path | None = None
    """The corpus's own annotation, where it is not in its folder: HDTF's lists, CREMA-D's
    summaryTable.csv."""
    measured: Path | None = None
    """Folder of other tools' output, one folder each: openface, pyfeat, deca, emoca, smirk."""
    views: tuple[str, ...] = ()
    """Only recordings from these views, such as front; all unless given."""
    other_emotion_reference: Flag = False
    """Take the reference picture of a clip from one in which the person shows another emotion."""
    limit: int | None = None
    """Only so many recordings, the first in the order of their keys."""
    size: int = 256
    """Side of the crops in pixels."""
    align: Literal["clip", "frame"] = "clip"
    """One upright square per clip, in which the head moves, or one per frame, turned with the eyes."""
    crop_to_face: float = 1.8
    """Side of the square in units of the face."""
    crf: int = 18
    """Quality of the crops, 0 (lossless) to 51."""
    least_face: int = 80
    """Reject faces smaller than so many pixels of the recording."""
    least_seconds: float = 1.0
    """Reject shorter clips."""
    longest_seconds: float = 20.0
    """Divide longer clips evenly."""
    most_offset: int = 5
    """Reject clips whose sound is more than so many frames (of 40 ms) from the lips."""
    least_agreement: float = 0.3
    """Reject clips of 8 s and more whose lips follow the sound less, at any offset."""
    keep_silent: Flag = False
    """Keep clips without sound."""
    shard_mb: int = 256
    """Close a shard at so many MiB."""
    overwrite: Flag = False
    """Begin anew in a folder that holds another preparation."""
    json: Flag = False
    """End with one JSON object on standard output."""

    def feature_inputs(self) -> "FeatureInputs":
        """Returns the inputs of features."""
        from auteur.lab.prepare.features import FeatureInputs

        given = {name: getattr(self.inputs, name) for name in self.inputs.__dataclass_fields__}
        return FeatureInputs(dataset=self.dataset, measured=self.measured, **given)

    def options(self) -> "PrepareOptions":
        """Returns the settings that the shards depend on.

        Raises:
            UsageError: A value is outside its range.
        """
        from auteur.lab.prepare import PrepareOptions

        if self.kind is None:
            kinds = "mead, hdtf, cremad, ravdess, folder, speech or photos"
            raise UsageError(f"name the layout of the corpus with --kind: {kinds}")
        options = PrepareOptions(
            kind=self.kind,
            annotations=None if self.annotations is None else str(self.annotations),
            measured=None if self.measured is None else str(self.measured),
            views=self.views,
            other_emotion_reference=self.other_emotion_reference,
            limit=self.limit,
            size_px=self.size,
            align=self.align,
            crop_to_face=self.crop_to_face,
            crf=self.crf,
            least_face_px=self.least_face,
            least_seconds=self.least_seconds,
            longest_seconds=self.longest_seconds,
            most_offset_frames=self.most_offset,
            least_agreement=self.least_agreement,
            keep_silent=self.keep_silent,
            shard_mb=self.shard_mb,
        )
        options.check()
        return options


def prepare(arguments: PrepareArguments) -> int:
    """Turns a corpus into WebDataset shards: tracked, filtered, cropped, measured.

    Clips that are not good enough are left out and named with their reason in rejected.jsonl; what cannot be
    read is skipped and makes the exit code 4. Stopped at any moment, the same command resumes where it
    was; finished, it checks the shards and repairs those that are damaged.

    Examples:
        auteur prepare MEAD --kind mead --views front -o mead_shards
        auteur prepare clips --kind folder -o shards --limit 10
            your own videos with a recordings.csv; the first ten only
        auteur prepare -o mead_shards --features motion,speech
            what `auteur train motion` reads beyond the common record
    """
    from auteur.engines import make_engine
    from auteur.lab.prepare import prepare as prepare_corpus
    from auteur.lab.prepare.features import check_inputs

    started_sec = time.monotonic()
    names = [name.strip() for name in (arguments.features or "").split(",") if name.strip()]
    if arguments.out is None:
        raise UsageError("name the folder of the shards with -o")
    inputs = arguments.feature_inputs()
    check_inputs(arguments.out, names, inputs)
    engine = make_engine(arguments.engine, arguments.workers, address=arguments.ray_address)
    if arguments.kind is None and names:
        return _tell_features(arguments, _added(arguments, names, inputs, engine, arguments.overwrite))
    options = arguments.options()
    if arguments.dataset is None:
        raise UsageError("name the folder of the corpus, or --features to add to finished shards")
    with shown_progress() as on_progress:
        summary = prepare_corpus(
            arguments.dataset,
            arguments.out,
            options,
            engine,
            overwrite=arguments.overwrite,
            on_progress=on_progress,
        )
    added = _added(arguments, names, inputs, engine) if names else []
    for one in added:
        _note_feature(one)
    return _tell(arguments, arguments.out, summary, added, time.monotonic() - started_sec)


def _added(
    arguments: PrepareArguments,
    names: list[str],
    inputs: "FeatureInputs",
    engine: "Engine[Any, Any]",
    overwrite: bool = False,
) -> "list[AddedFeature]":
    from auteur.lab.prepare import Progress
    from auteur.lab.prepare.features import add_features

    assert arguments.out is not None  # noqa: S101 - the caller looked
    with shown_progress() as show:

        def on_progress(name: str, done: int, total: int) -> None:
            show(Progress(total=total, done=done, samples=done, stage=f"feature {name}"))

        return add_features(
            arguments.out, names, inputs, engine, overwrite=overwrite, on_progress=on_progress
        )


def _note_feature(one: "AddedFeature") -> None:
    note(
        f"feature {one.name}: {counted(one.made, 'clip')} made, {one.kept} kept, {len(one.left_out)} left out"
    )
    for key, reason in list(one.left_out.items())[:10]:
        note(f"{key}: no {one.name}, {reason}")


def _tell_features(arguments: PrepareArguments, added: "list[AddedFeature]") -> int:
    if arguments.json:
        about = [{**asdict(one), "seconds": round(one.seconds, 3)} for one in added]
        print(json_text.dumps({"output": str(arguments.out), "features": about}))
    else:
        for one in added:
            _note_feature(one)
    return 0


def _tell(
    arguments: PrepareArguments, out: Path, summary: "Summary", added: "list[AddedFeature]", seconds: float
) -> int:
    totals = summary.totals
    for name in summary.repaired:
        note(f"{name} was damaged and is whole again")
    if arguments.json:
        stages = {name: round(value, 3) for name, value in sorted(summary.seconds.items())}
        result = {"output": str(out), **totals, "kept": summary.kept, "seconds": round(seconds, 3)}
        if added:
            result["features"] = {one.name: len(one.left_out) for one in added}
        print(json_text.dumps({**result, "repaired": list(summary.repaired), "stage_seconds": stages}))
    else:
        print(
            f"{out}: {counted(totals['samples'], 'clip')}, {span(3600 * totals['hours'])} of "
            f"{counted(totals['people'], 'person', 'people')} in {counted(totals['shards'], 'shard')}; "
            f"{totals['rejected']} rejected, {totals['failed']} failed; "
            f"see {out / 'report.html'}"
        )
    if totals["failed"]:
        note(f"{totals['failed']} could not be read; they are named in {out / 'rejected.jsonl'}")
        return PartialError.exit_code
    return 0


@contextmanager
def shown_progress() -> Iterator[Callable[["Progress"], None]]:
    """Shows progress: a bar on a terminal, elsewhere a line a minute; yields the function to call."""
    if sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _Lines()


@contextmanager
def _bar() -> Iterator[Callable[["Progress"], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("listing", total=None, state="")

        def update(state: "Progress") -> None:
            text = f"{state.samples} clips, {state.rejected} rejected, {state.failed} failed"
            bar.update(task, description=state.stage, total=state.total, completed=state.done, state=text)

        yield update


class _Lines:
    """Prints the state as a line, now and then and at the end."""

    def __init__(self) -> None:
        self._begun_sec = self._said_sec = time.monotonic()

    def __call__(self, state: "Progress") -> None:
        now = time.monotonic()
        if now - self._said_sec < SAY_EVERY_SEC:
            return
        self._said_sec = now
        made = state.done - state.kept
        left = (now - self._begun_sec) / made * (state.total - state.done) if made else None
        time_left = "" if left is None else f", {left / 60:.0f} min left"
        note(
            f"{state.stage}: {state.done} of {state.total} recordings, {state.samples} clips, "
            f"{state.rejected} rejected, {state.failed} failed{time_left}"
        )
