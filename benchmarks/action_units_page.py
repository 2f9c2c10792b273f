"""Writes `docs/action_units.md` out of the tables, so that the page cannot disagree with the code.

Run `python benchmarks/action_units_page.py > docs/action_units.md` after changing a table.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence

from auteur.facs.action_units import ACTION_UNITS
from auteur.facs.conventions import CONVENTIONS, Convention
from auteur.facs.conversion import PRESENCE_THRESHOLD, SUBSTITUTES, dropped_channels, lossiness
from auteur.facs.prototypes import EMOTION_ALIASES, EMOTIONS, PROTOTYPE_SOURCES, PROTOTYPES

_OUTSIDE = [convention for convention in CONVENTIONS.values() if convention.name != "facs"]

_INTRODUCTION = """# Action Units

Left and right are the subject's. "AU12 at 0.5" means nothing without a convention, so every track names its
own, and conversions between them are listed here with what they lose. This page is generated from
`auteur.facs`.
"""

_RULE = f"""## How conversion works

Each source channel gives its value, divided by its full scale, to every control it measures (table above).
Each target channel takes, per Action Unit, the mean over that unit's sides, then the largest of its units,
times its own full scale. A presence is 1 from intensity {PRESENCE_THRESHOLD} (the FACS trace level). A
channel without any source is 0. `auteur.facs.lossiness(source, target)` gives the same per channel, with a
confidence between 0 and 1 that is our judgement: good for ranking, not measured. What follows lists, for each
pair, every channel that is not the same movement in both.

Stand-ins for units that a source does not measure:
"""

_NAMING = """## Names

`AU12`, `AU12L`, `au12l`, `AU01` and `AU1` are codes; plain names are in the first table, with a side before
or after (`smile_left`, `left_smile`, `upper_lip_suck`); ARKit names (`mouthSmileLeft`) work too. Without a
side, all sides move. Case, spaces and hyphens do not matter. `jaw_left` and `jaw_right` are AU30L and AU30R.
"""


def action_units_page() -> str:
    """The text of `docs/action_units.md`."""
    parts = [
        _INTRODUCTION,
        "## Action Units and their channels\n",
        _unit_table(),
        "## Conventions\n",
        _convention_list(),
        _RULE,
        _substitute_list(),
        *(_pair_section(source, target) for source, target in itertools.permutations(_OUTSIDE, 2)),
        "## Emotion prototypes\n",
        _prototype_section(),
        _NAMING,
    ]
    return "\n".join(parts)


def _unit_table() -> str:
    header = ["code", "FACS name", "plain names", "muscle", *(convention.name for convention in _OUTSIDE)]
    rows = [
        [
            ", ".join(unit.controls),
            unit.name,
            _code(unit.plain_names),
            unit.muscle,
            *(_code(_channels_of(unit.controls, convention)) for convention in _OUTSIDE),
        ]
        for unit in ACTION_UNITS.values()
    ]
    return _table(header, rows)


def _channels_of(controls: Sequence[str], convention: Convention) -> list[str]:
    return [entry.name for entry in convention.entries if set(entry.controls) & set(controls)]


def _convention_list() -> str:
    lines = [
        f"- **{convention.name}**, {len(convention.entries)} channels: {convention.description}."
        for convention in CONVENTIONS.values()
    ]
    without = [entry.name for entry in CONVENTIONS["arkit52"].entries if not entry.controls]
    lines.append(f"\nNo Action Unit corresponds to {_code(without)}; conversions leave them at 0.\n")
    return "\n".join(lines)


def _substitute_list() -> str:
    lines = [
        f"- AU{number} ← {substitute.gain:g} × AU{substitute.number} (confidence {substitute.confidence:g}): "
        f"{substitute.note}"
        for number, substitute in SUBSTITUTES.items()
    ]
    return "\n".join(lines) + "\n"


def _pair_section(source: Convention, target: Convention) -> str:
    losses = lossiness(source.name, target.name)
    lines = [f"### {source.name} → {target.name}\n"]
    approximate = {name: loss for name, loss in losses.items() if loss.kind == "approximate"}
    reasons = dict.fromkeys((loss.note, loss.confidence) for loss in approximate.values())
    for note, confidence in reasons:
        names = [
            name for name, loss in approximate.items() if (loss.note, loss.confidence) == (note, confidence)
        ]
        lines.append(f"- {note} (confidence {confidence:g}): {_code(names)}")
    absent = [name for name, loss in losses.items() if loss.kind == "absent"]
    dropped = dropped_channels(source.name, target.name)
    lines += [f"- always 0: {_code(absent)}"] if absent else []
    lines += [f"- not carried over: {_code(dropped)}"] if dropped else []
    lines += ["- nothing is lost"] if len(lines) == 1 else []
    return "\n".join(lines) + "\n"


def _prototype_section() -> str:
    header = ["emotion", *PROTOTYPES]
    rows = [[emotion, *(_levels(table[emotion]) for table in PROTOTYPES.values())] for emotion in EMOTIONS]
    sources = "\n".join(f"- {name}: {citation}" for name, citation in PROTOTYPE_SOURCES.items())
    aliases = ", ".join(f"{alias} = {emotion}" for alias, emotion in EMOTION_ALIASES.items())
    note = "The sources name the units; the intensities at full emotion are ours."
    return f"{note}\n\n{_table(header, rows)}\n{sources}\n\nOther words: {aliases}.\n"


def _levels(units: dict[str, float]) -> str:
    return ", ".join(f"{code} {level:g}" for code, level in units.items()) or "none"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(action_units_page())
