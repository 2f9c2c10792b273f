"""Pages: values are escaped, and one that is missing is an error."""

import jinja2
import pytest

from auteur.lab.prepare.report import histogram
from auteur.templates import render

HOSTILE = "<script>alert('x')</script>"


def preparation(**values: object) -> str:
    fields = dict.fromkeys(("totals", "counts", "people", "reasons", "rejected", "pictures", "settings"), ())
    fields |= {"more_people": 0, "rejected_file": "rejected.jsonl", "histograms": ()}
    return render("preparation.html", **{"title": "Prepared", **fields, **values})


def test_every_value_is_escaped():
    page = preparation(
        title=HOSTILE,
        people=[(HOSTILE, 1, "")],
        reasons=[(HOSTILE, 1)],
        pictures=[{"source": "'\"><script>", "about": HOSTILE}],
        histograms=[histogram(HOSTILE, [1.0, 2.0])],
    )
    assert "<script" not in page and page.count("&lt;script&gt;alert") == 6  # the title stands twice


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="rows"):
        preparation(counts=[{"column": "emotion"}])


def test_a_histogram_counts_and_draws_every_value():
    plot = histogram("length", [0.0, 0.5, 0.6, 2.9], width=1.0)
    assert [bar["about"] for bar in plot["bars"]] == ["0: 3", "2: 1"] and plot["tallest"] == 3
    assert preparation(histograms=[plot]).count("<rect") == 2
    assert "nothing was measured" in preparation(histograms=[histogram("length", [])])
