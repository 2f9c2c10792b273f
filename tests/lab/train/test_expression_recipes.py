"""The expression recipes run on look-alikes and write what loads."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auteur.errors import InputError, UsageError
from auteur.expression.generator.discriminators import (
    FrameDiscriminator,
    SequenceDiscriminator,
    discriminator_loss,
)
from auteur.expression.generator.network import LABELS, ExpressionGenerator, GeneratorConfig
from auteur.facs import EMOTIONS
from auteur.lab.data.expression_apexes import apexes
from auteur.lab.data.expression_windows import neutral_mean
from auteur.lab.train.expression_generator import (
    ExpressionGeneratorRecipe,
    read_training,
    train,
)
from auteur.lab.train.expression_losses import movement_loss, nearest_of
from auteur.lab.train.expression_space import fit
from auteur.lab.train.expression_statistics import aim
from auteur.weights import load_file, load_model, shipped
from judges.emotion_classifier import EmotionClassifierRecipe, FaceEmotionClassifier
from judges.emotion_classifier import train as train_classifier

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from expression_lookalikes import (
    with_photographs,
    write_deca,
    write_people,
    write_photograph_labels,
    write_tracks,
)

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("expression_space" not in shipped(), reason="no expression space ships yet"),
]


def test_the_compact_recipe_learns_and_writes(tmp_path: Path):
    out = tmp_path / "generator.safetensors"
    train(ExpressionGeneratorRecipe(with_photographs(tmp_path), out, steps=6, batch_size=6))
    generator = load_model(out, ExpressionGenerator)
    assert generator.config.space == "compact50"
    assert out.stat().st_size < 3_000_000
    assert bool(generator.apex[:-1].norm(dim=1).min() > 0)
    last = json.loads(out.with_suffix(".jsonl").read_text().splitlines()[-1])
    assert last["step"] == 6
    assert {"loss", "reconstruction", "frame", "sequence", "discriminator_loss"} <= last.keys()
    assert all(np.isfinite(value) for value in last.values())


def test_the_full_recipe_runs_on_deca_vectors(tmp_path: Path):
    data = replace(write_deca(tmp_path), mix="mead=1,hdtf=1")
    out = tmp_path / "full.safetensors"
    train(ExpressionGeneratorRecipe(data, out, vectors="flame50", size="full", steps=2, batch_size=4))
    config = load_model(out, ExpressionGenerator).config
    assert (config.space, config.hidden, config.noise) == ("flame50", 256, 64)


def test_half_a_source_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no shards of photographs were given"):
        train(ExpressionGeneratorRecipe(write_tracks(tmp_path), tmp_path / "o.safetensors"))


def test_the_classifier_learns_what_photographs_show(tmp_path: Path):
    out = tmp_path / "classifier.safetensors"
    report = train_classifier(EmotionClassifierRecipe(*write_photograph_labels(tmp_path), out))
    assert report.balanced_accuracy > 2 / len(EMOTIONS)
    model = load_file(FaceEmotionClassifier(), out)
    chances = model.probabilities(np.zeros((1, 52)))
    assert chances.sum() == pytest.approx(1, abs=1e-5)


def test_judges_see_the_label():
    torch.manual_seed(0)
    vectors, label, strength = torch.randn(4, 32, 50), torch.tensor([0, 1, 2, 3]), torch.ones(4)
    for judge, shape in ((FrameDiscriminator(50), (4, 32)), (SequenceDiscriminator(50), (4,))):
        judge.eval()
        one = judge(vectors, label, strength)
        assert one.shape == shape
        assert not torch.allclose(one, judge(vectors, label.flip(0), strength))
        torch.testing.assert_close(
            judge(vectors, label, 0 * strength), judge(vectors, label.flip(0), 0 * strength)
        )


def test_hinge_loss_is_0_only_for_sure_judges():
    assert discriminator_loss(torch.tensor([2.0]), torch.tensor([-2.0])).item() == 0
    assert discriminator_loss(torch.tensor([0.0]), torch.tensor([0.0])).item() == 2


def test_the_nearest_guess_is_taken_row_by_row():
    real = torch.stack([torch.zeros(5, 3), torch.ones(5, 3)])
    best, error = nearest_of([torch.zeros(2, 5, 3), torch.ones(2, 5, 3)], real, torch.ones(2, 5))
    assert torch.equal(best, real)
    assert error.sum() == 0


def test_still_faces_cost_more_than_moving_ones():
    torch.manual_seed(0)
    real, other = torch.randn(8, 40, 5), torch.randn(8, 40, 5)
    assert movement_loss(0.1 * other, real) > 4 * movement_loss(other, real)


def test_a_fitted_space_gives_its_clips_back(tmp_path: Path):
    from auteur.expression.space import CompactExpressionSpace, reconstruction_error_mm
    from auteur.lab.data.expression_tracks import read_motions

    motions = read_motions(write_tracks(tmp_path))
    opening = CompactExpressionSpace.shipped().opening.numpy()
    shapes = np.random.default_rng(0).normal(size=(20, 478, 3))
    shapes[:, 468:] = 0
    space, share = fit(motions, shapes, opening)
    assert share > 0.9
    assert reconstruction_error_mm(space, motions[1].displacement_mm).mean() < 0.35


def test_aiming_fills_in_the_prototypes_or_what_people_show_without_their_jaw(tmp_path: Path):
    torch.manual_seed(0)
    recipe = ExpressionGeneratorRecipe(with_photographs(tmp_path), tmp_path)
    training, peaks, _, sizes = read_training(recipe)
    generator = ExpressionGenerator(GeneratorConfig(hidden=8)).eval()
    aim(generator, training, peaks, sizes)
    assert peaks is not None
    books = {emotion: found.textbook for emotion, found in peaks.items()}
    for row, emotion in enumerate(LABELS[:-1]):
        np.testing.assert_allclose(generator.apex[row], books[emotion], atol=1e-5)
    torch.manual_seed(0)
    of_people = ExpressionGenerator(GeneratorConfig(hidden=8)).eval()
    aim(of_people, training, None, sizes)
    wanted = apexes(training, neutral_mean(training), np.asarray(sizes))
    assert wanted
    for emotion, apex in wanted.items():
        np.testing.assert_allclose(of_people.apex[LABELS.index(emotion), 1:], apex[1:], atol=1e-5)
    assert np.asarray(sizes)[0] == 0
    assert float(of_people.apex[:, 0].abs().max()) < 0.1  # what a fresh generator does to it


def test_faces_of_one_person_are_nearer_than_those_of_two(tmp_path: Path):
    if not hasattr(pytest.importorskip("cv2"), "HOGDescriptor"):
        pytest.skip("OpenCV's headless build has no HOGDescriptor; the extra train brings another")
    from judges.face_identity import FaceIdentity, FaceIdentityRecipe
    from judges.face_identity import train as train_identity

    labels = write_people(tmp_path)
    report = train_identity(FaceIdentityRecipe(labels, tmp_path / "identity.safetensors"))
    assert report.accuracy > 0.7
    assert report.same > report.different + 0.2
    model = load_file(FaceIdentity(), tmp_path / "identity.safetensors")
    described = model.describe(np.random.default_rng(0).integers(0, 255, (3, 72, 64), dtype=np.uint8))
    np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
    with pytest.raises(InputError, match="no photographs"):
        train_identity(FaceIdentityRecipe(tmp_path, tmp_path / "none.safetensors"))
