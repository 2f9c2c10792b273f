"""The page of a user study names no system, its key names all, and the tally joins them."""

import json
import re
from pathlib import Path

import pytest

from auteur.errors import FormatError, InputError, UsageError
from auteur.evaluate import protocols
from auteur.evaluate.user_study import QUESTIONS, make_study, tally

TALLY = protocols.load("user-study-tally")


@pytest.fixture
def systems(tmp_path) -> dict[str, Path]:
    for system in ("ours", "theirs"):
        (tmp_path / system).mkdir()
        for number in range(6):
            (tmp_path / system / f"clip{number}.mp4").write_bytes(f"{system} {number}".encode())
    return {name: tmp_path / name for name in ("ours", "theirs")}


def key_of(out: Path) -> dict:
    return json.loads((out / "key.json").read_text())


def answered(out: Path, path: Path, favourite: str | None) -> Path:
    """A rater who always takes one system, or none."""
    key, answers = key_of(out), {}
    for pair in key["pairs"]:
        side = "same" if favourite is None else "left" if pair["left"] == favourite else "right"
        answers |= {f"{pair['id']}.{question}": side for question in QUESTIONS}
    path.write_text(json.dumps({"study": key["study"], "rater": path.stem, "answers": answers}))
    return path


def test_sides_and_order_follow_from_the_seed_and_names_reveal_nothing(systems, tmp_path):
    page, key = make_study(systems, tmp_path / "a", seed=3)
    make_study(systems, tmp_path / "b", seed=3)
    make_study(systems, tmp_path / "c", seed=4)
    pairs = key_of(tmp_path / "a")["pairs"]
    assert pairs == key_of(tmp_path / "b")["pairs"] != key_of(tmp_path / "c")["pairs"]
    assert {pair["left"] for pair in pairs} == {"ours", "theirs"} and len(pairs) == 6
    assert [pair["clip"] for pair in pairs] != sorted(pair["clip"] for pair in pairs)
    assert key.parent == tmp_path / "a" and page.parent == tmp_path / "a" / "study"
    text = page.read_text() + " ".join(path.name for path in page.parent.iterdir())
    assert not re.search("ours|theirs|clip", text)
    for pair, names in zip(
        pairs, re.findall(r'src="([^"]+)"[^§]*?src="([^"]+)"', page.read_text()), strict=True
    ):
        for side, name in zip(("left", "right"), names, strict=True):
            assert (page.parent / name).read_text() == f"{pair[side]} {pair['clip'][-1]}"


def test_the_tally_counts_choices_with_intervals_beside_the_published_ones(systems, tmp_path):
    make_study(systems, tmp_path / "a")
    (tmp_path / "answers").mkdir()
    for name, favourite in (("anna", "ours"), ("ben", "ours"), ("cy", "theirs"), ("dee", None)):
        answered(tmp_path / "a", tmp_path / "answers" / f"{name}.json", favourite)
    table = tally(TALLY, [tmp_path / "answers"], tmp_path / "a" / "key.json")
    assert [row[0] for row in table.rows] == [*QUESTIONS, *QUESTIONS]
    question, pair, ours, theirs, same, answers, raters = table.rows[0]
    assert (question, pair, answers, raters) == ("emotion", "ours against theirs", 24, 4)
    assert ours.startswith("0.500 [") and theirs.startswith("0.250 [") and same.startswith("0.250 [")
    assert table.rows[4][2:5] == ("0.646", "0.189", "0.165") and "published" in table.rows[4][1]


def test_what_does_not_belong_together_is_refused(systems, tmp_path):
    make_study(systems, tmp_path / "a", seed=1)
    make_study(systems, tmp_path / "b", seed=2)
    other = answered(tmp_path / "b", tmp_path / "other.json", "ours")
    with pytest.raises(FormatError, match="is of the study"):
        tally(TALLY, [other], tmp_path / "a" / "key.json")
    (tmp_path / "odd.json").write_text(
        json.dumps({"study": key_of(tmp_path / "a")["study"], "answers": {"p000.x": "left"}})
    )
    with pytest.raises(FormatError, match=r"'p000\.x': 'left', which the page cannot give"):
        tally(TALLY, [tmp_path / "odd.json"], tmp_path / "a" / "key.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there are no answers"):
        tally(TALLY, [tmp_path / "empty"], tmp_path / "a" / "key.json")
    with pytest.raises(FormatError, match="no key of a study"):
        tally(TALLY, [other], other)
    with pytest.raises(UsageError, match="1 systems"):
        make_study({"ours": systems["ours"]}, tmp_path / "d")
    with pytest.raises(InputError, match="exists"):
        make_study(systems, tmp_path / "a", seed=1)
