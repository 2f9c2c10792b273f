"""From a corpus to shards: stages, their order, and what is resumed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from auteur.engines import Engine
from auteur.errors import FormatError, InputError
from auteur.lab.corpora import Corpus, Recording, open_corpus
from auteur.lab.data.shards import shard_problem
from auteur.lab.prepare.filters import FAILED, Rejection
from auteur.lab.prepare.neutral import neutral_recordings, save_neutral
from auteur.lab.prepare.options import PrepareOptions, identity
from auteur.lab.prepare.records import relative
from auteur.lab.prepare.report import write_results
from auteur.lab.prepare.shards import MEBIBYTE, Packer, write_shard
from auteur.lab.prepare.task import Done, Item, NeutralTask, PrepareTask, write_item
from auteur.lab.prepare.work_folder import PARTS, WorkFolder
from auteur.provenance.mark import hash_file


@dataclass
class Progress:
    """Progress of a run."""

    total: int
    """Recordings."""
    kept: int = 0
    """Recordings that an earlier run had finished."""
    done: int = 0
    """Recordings that are finished, those included."""
    samples: int = 0
    rejected: int = 0
    """Clips and recordings that a filter rejected."""
    failed: int = 0
    """Recordings that could not be read."""
    stage: str = "preparing"
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """Stage → wall-clock seconds, over all workers of this run."""

    def count(self, samples: int, reasons: Sequence[str]) -> None:
        """Counts one more recording."""
        self.done += 1
        self.samples += samples
        self.failed += sum(reason == FAILED for reason in reasons)
        self.rejected += sum(reason != FAILED for reason in reasons)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Totals of a finished preparation."""

    totals: dict[str, Any]
    """As in the index: recordings, samples, rejected, failed, people, shards, frames, hours."""
    kept: int
    """Recordings that earlier runs had finished."""
    repaired: tuple[str, ...]
    """Shards that were damaged and are whole again."""
    seconds: dict[str, float]
    """Stage → wall-clock seconds, over all workers of this run."""


Result = TypeVar("Result")
OnProgress = Callable[[Progress], None]


def prepare(
    folder: Path,
    out: Path,
    options: PrepareOptions,
    engine: "Engine[Any, Any]",
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Turns a corpus into shards, an index, a list of what was rejected and a report.

    Run again after it was stopped in any way, it resumes; run again when it is finished, it
    checks every shard and repairs those that are damaged.

    Args:
        folder: The corpus.
        out: Folder for the shards.
        options: Settings that the shards depend on.
        engine: Workers; without effect on the result.
        overwrite: Whether to begin anew in a folder that holds another preparation.
        on_progress: Called whenever something is finished.

    Raises:
        UsageError: An option is outside its range, or differs from those that `out` was begun with.
        InputError: The corpus cannot be listed or is empty, or `out` cannot be written to, for instance
            because the disk is full. What was finished stays.
    """
    options.check()
    folder, out = folder.absolute(), out.absolute()
    corpus, everything = listed(folder, options)
    chosen = chosen_of(corpus, everything, options)
    work = WorkFolder(out)
    report = on_progress or (lambda _: None)
    with work.locked():
        work.open(identity(options), [recording.key for recording in chosen], overwrite=overwrite)
        run = _Run(work, folder, options, engine, report)
        items = run.items(chosen, everything)
        if work.index is None:
            run.finish(items, corpus)
            repaired: tuple[str, ...] = ()
        else:
            repaired = run.repair(items)
        index = work.index
        work.clear()
    if index is None:
        raise FormatError(f"{str(out)!r} lost its index while it was written; run the command again")
    return Summary(
        totals=index["totals"], kept=run.progress.kept, repaired=repaired, seconds=dict(run.progress.seconds)
    )


def listed(folder: Path, options: PrepareOptions) -> tuple[Corpus, list[Recording]]:
    """Returns the corpus and all of its recordings.

    Raises:
        InputError: It cannot be listed.
    """
    corpus = open_corpus(
        options.kind,
        folder,
        annotations=None if options.annotations is None else Path(options.annotations).absolute(),
        measured=None if options.measured is None else Path(options.measured).absolute(),
        other_emotion_reference=options.other_emotion_reference,
    )
    return corpus, sorted(corpus.recordings(), key=lambda recording: recording.key)


def chosen_of(corpus: Corpus, recordings: Sequence[Recording], options: PrepareOptions) -> list[Recording]:
    """Returns the recordings that the options select.

    Raises:
        InputError: There is none.
    """
    views = {str(recording.view) for recording in recordings}
    unknown = [view for view in options.views if view not in views]
    if unknown and recordings:
        raise InputError(f"no recording has the view {unknown[0]!r}; there are {', '.join(sorted(views))}")
    chosen = [recording for recording in recordings if not options.views or recording.view in options.views]
    if not chosen:
        count, first = len(corpus.problems), "".join(f", the first: {each}" for each in corpus.problems[:1])
        raise InputError(f"the {options.kind} corpus holds no usable recording; {count} problems{first}")
    return chosen[: options.limit]


class _Run:
    """One run in a folder that is open."""

    def __init__(
        self,
        work: WorkFolder,
        folder: Path,
        options: PrepareOptions,
        engine: "Engine[Any, Any]",
        on_progress: OnProgress,
    ) -> None:
        self._work, self._folder, self._options = work, folder, options
        self._engine, self._on_progress = engine, on_progress
        self._rests: dict[tuple[str, str | None], list[Recording]] = {}
        self.progress = Progress(total=0)

    def items(self, chosen: Sequence[Recording], everything: Sequence[Recording]) -> dict[str, Item]:
        """Returns the items by key, in the order of the keys."""
        by_key = {recording.key: recording for recording in everything}
        self._rests = neutral_recordings(everything)
        items: dict[str, Item] = {}
        for recording in chosen:
            candidates = self._rests.get((recording.person, recording.view))
            items[recording.key] = Item(
                recording=recording,
                reference=None if recording.reference is None else by_key[recording.reference],
                rest=None if candidates is None else self._neutral_path(candidates),
                out=self._work.item(recording.key),
            )
        return items

    def finish(self, items: dict[str, Item], corpus: Corpus) -> None:
        """Does what is left, packs it and writes the results."""
        packers = [
            Packer(
                self._work,
                part,
                [key for key, item in items.items() if item.recording.held_out == (part == "held_out")],
                self._options.shard_mb * MEBIBYTE,
            )
            for part in PARTS
        ]
        self.progress = Progress(total=len(items))
        todo = self._left(items)
        self.progress.kept = self.progress.done
        self._find_neutrals(todo)
        with ended_at_once(self._made(todo)) as made:
            for _ in made:
                for packer in packers:
                    packer.advance()
        for packer in packers:
            packer.finish()
        problems = [
            {
                "key": None,
                "recording": None,
                "person": None,
                "video": relative(problem.path, self._folder),
                "reason": FAILED,
                "detail": problem.reason,
            }
            for problem in corpus.problems
        ]
        write_results(self._work, self._options, problems)

    def repair(self, items: dict[str, Item]) -> tuple[str, ...]:
        """Makes missing and damaged shards anew; only a whole file replaces a damaged one."""
        index = self._work.index or {"shards": []}
        shards = [shard for shard in index["shards"] if shard["file"]]
        self.progress = Progress(total=len(items), kept=len(items), done=len(items), stage="checking")
        broken = [shard for shard in shards if shard_problem(self._work.out, shard) is not None]
        if not broken:
            return ()
        for each in (self._work.items, self._work.rest):
            each.mkdir(parents=True, exist_ok=True)
        todo = [items[key] for shard in broken for key in shard["recordings"]]
        self.progress = Progress(total=len(todo), stage="repairing")
        self._find_neutrals(todo)
        with ended_at_once(self._made(todo)) as made:
            for _ in made:
                pass
        for shard in broken:
            self._replace(shard)
        return tuple(shard["file"] for shard in broken)

    def _replace(self, shard: dict[str, Any]) -> None:
        anew = self._work.root / shard["file"]
        write_shard(anew, [self._work.item(key) for key in shard["recordings"]])
        if hash_file(anew) != shard["sha256"]:
            raise InputError(
                f"shard {shard['file']!r} cannot be repaired: its recordings now give other bytes, so they "
                f"were changed; prepare the corpus anew. What there was stays in {str(self._work.out)!r}"
            )
        anew.replace(self._work.out / shard["file"])

    def _left(self, items: dict[str, Item]) -> list[Item]:
        """Counts what earlier runs finished; returns the rest."""
        entries = [entry for part in PARTS for entry in self._work.entries(part)]
        for entry in entries:
            self._count_kept(entry, len(entry["recordings"]))
        packed = {key for entry in entries for key in entry["recordings"]}
        left: list[Item] = []
        for key, item in items.items():
            if key in packed:
                continue
            if not item.out.exists():
                left.append(item)
                continue
            try:
                self._count_kept(self._work.outcome(key), 1)
            except FormatError:  # damaged after it was written: a fault of the disk
                item.out.unlink()
                left.append(item)
        return left

    def _count_kept(self, rows: dict[str, Any], recordings: int) -> None:
        self.progress.count(len(rows["samples"]), [row["reason"] for row in rows["rejected"]])
        self.progress.done += recordings - 1

    def _neutral_path(self, candidates: Sequence[Recording]) -> Path:
        return self._work.rest / f"{candidates[0].key}.npz"

    def _find_neutrals(self, todo: Sequence[Item]) -> None:
        """Finds the people at rest that the items need."""
        wanted = {item.rest for item in todo}
        missing = [
            (tuple(candidates), path)
            for candidates in self._rests.values()
            if (path := self._neutral_path(candidates)) in wanted and not path.exists()
        ]
        for done, outcome in enumerate(self._engine.map(NeutralTask(), missing) if missing else (), start=1):
            if outcome.failure is not None:  # no worker survived it; their own clips must do
                save_neutral(outcome.item[1], None)
            self._stop_if(outcome.result)
            self.progress.stage = f"people at rest: {done} of {len(missing)}"
            self._on_progress(self.progress)
        self.progress.stage = "preparing"
        self._on_progress(self.progress)

    def _made(self, todo: Sequence[Item]) -> Iterator[None]:
        """Makes the items; yields after each."""
        if not todo:
            return
        task = PrepareTask(self._options, self._folder)
        with ended_at_once(self._engine.map(task, todo)) as outcomes:
            for outcome in outcomes:
                done: Done | None = outcome.result
                if done is None:  # no worker survived it
                    lost = [
                        Rejection(outcome.item.recording.key, FAILED, outcome.failure or "no reason given")
                    ]
                    trouble = write_item(outcome.item, self._folder, [], lost)
                    done = Done(samples=0, rejected=(FAILED,), seconds={}, trouble=trouble)
                self._stop_if(done.trouble)
                self.progress.count(done.samples, done.rejected)
                for stage, seconds in done.seconds.items():
                    self.progress.seconds[stage] = self.progress.seconds.get(stage, 0.0) + seconds
                self._on_progress(self.progress)
                yield

    def _stop_if(self, trouble: str | None) -> None:
        if trouble is not None:
            raise InputError(
                f"{trouble}; make room and run the same command again: {self.progress.done} of "
                f"{self.progress.total} recordings are kept"
            )


@contextmanager
def ended_at_once(results: Iterator[Result]) -> Iterator[Iterator[Result]]:
    """Ends the workers when the block is left, also by an error, and not when the last reference goes."""
    try:
        yield results
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()
