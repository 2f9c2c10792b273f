"""Every recipe runs on look-alike data, in seconds, through its own classes, and learns."""

from pathlib import Path

import pytest
import torch

from auteur.lab.train import recipes

pytestmark = pytest.mark.slow

NEEDS = {
    "detector": ("cv2",),
    "landmarker": ("cv2",),
    "audio-lm-lora": ("transformers", "peft"),
}
"""What a recipe needs beyond the core and accelerate."""

FITS = ("au-basis", "habits", "expression-space")
"""Recipes without steps: they need no accelerate."""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_it_learns(name: str, tmp_path: Path):
    if name not in FITS:
        pytest.importorskip("accelerate", reason="an extra")
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason="an extra")
    report = recipes.smoke(name, tmp_path / "run")
    assert report.last_loss < report.first_loss, name
    assert any(file.endswith((".safetensors", ".npz")) for file in report.files)
    assert not list(tmp_path.rglob(".*.part*"))


def test_nothing_is_left_of_a_trial_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes.tempfile, "tempdir", str(tmp_path))
    recipes.smoke("habits")
    assert not list(tmp_path.iterdir())
