"""Networks given by path, as tiny stand-ins of random weights, through the authors' implementations.

`lpips` and `torch-fidelity` (extra "evaluate") bring torchvision and are no test dependencies: the package
index has torchvision for CUDA, which cannot be imported beside a torch for the CPU. The two tests that run
them skip without them. Set distances are compared with SciPy's matrix root everywhere.
"""

import dataclasses
import json
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from auteur.errors import UsageError, WeightsError
from auteur.evaluate import protocols
from auteur.evaluate.emotion import majority
from auteur.evaluate.evaluation import evaluate_clips
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.evaluate.frechet import frechet_distance
from auteur.evaluate.judges import IdentityNetwork, NetworkEmotionClassifier
from auteur.evaluate.pairing import Clip
from auteur.evaluate.reference_networks import I3d, Inception, Lpips
from auteur.evaluate.scoring import REAL, ClipScorer
from auteur.evaluate.streams import Networks
from support.networks import QuarterColours

pytestmark = pytest.mark.slow
FRAMES = 17


def authors_package(name: str) -> ModuleType:
    """Imports a package of the extra "evaluate"; skips without it or a torchvision that fits torch."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs pip install 'auteur-face[evaluate]': {str(error).splitlines()[0]}")


def test_a_torchvision_for_another_torch_is_named(tmp_path, monkeypatch):
    (tmp_path / "lpips.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    with pytest.raises(
        UsageError, match=r"torchvision::nms does not exist; .*install both from one package index"
    ):
        Lpips(tmp_path / "lpips.safetensors")


def pictures(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 64, 64, 3)).astype(np.uint8)


def test_lpips_is_the_authors_figure_and_its_formula(tmp_path):
    package = authors_package("lpips")
    torch.manual_seed(0)
    authors = package.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).eval()
    save_model(authors, str(tmp_path / "lpips.safetensors"))
    made, real = pictures(2), pictures(2, seed=1)
    found = Lpips(tmp_path / "lpips.safetensors").distance(made, real)
    assert Lpips(tmp_path / "lpips.safetensors").distance(made, made) == pytest.approx(0, abs=1e-9)
    first, second = (torch.from_numpy(one).permute(0, 3, 1, 2) / 255 for one in (made, real))
    with torch.inference_mode():
        np.testing.assert_allclose(found, authors(first, second, normalize=True).flatten(), rtol=1e-4)
        total = np.zeros(2)  # Zhang et al. 2018, equation 1
        features = [authors.net(authors.scaling_layer(2 * one - 1)) for one in (first, second)]
        for one, other, linear in zip(*features, authors.lins, strict=True):
            unit = [f / f.square().sum(1, keepdim=True).sqrt().clamp(min=1e-9) for f in (one, other)]
            weights = linear.model[-1].weight.flatten()
            squared = (unit[0] - unit[1]).square().mean((2, 3))
            total += (squared @ weights).double().numpy()
    np.testing.assert_allclose(found, total, rtol=1e-3)


def test_fid_is_torch_fidelitys(tmp_path):
    package = authors_package("torch_fidelity")
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    inception = package.feature_extractor_inceptionv3.FeatureExtractorInceptionV3

    class Untrained(inception):
        """Keeps its random weights."""

        def load_state_dict(self, *_: object, **__: object) -> None: ...

    torch.manual_seed(0)
    torch.save({}, tmp_path / "none.pth")
    with redirect_stdout(StringIO()):
        network = Untrained("random", ["2048"], feature_extractor_weights_path=str(tmp_path / "none.pth"))
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    with pytest.raises(WeightsError, match=r"absent\.pth.*no such file"):
        Inception(tmp_path / "absent.pth")
    made, real = pictures(4), pictures(4, seed=1)
    found = [Inception(tmp_path / "inception.pth").features(one) for one in (made, real)]
    assert found[0].shape == (4, 2048)
    with torch.inference_mode():
        wanted = network.eval()(torch.from_numpy(made).permute(0, 3, 1, 2))[0]
    np.testing.assert_allclose(found[0], wanted, atol=1e-4)
    few = [torch.from_numpy(features[:, :16]) for features in found]
    statistics = [fid_features_to_statistics(features) for features in few]
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(*(one.numpy() for one in few)) == pytest.approx(fid, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("package", "network"), [("lpips", Lpips), ("torch_fidelity", Inception)])
def test_a_package_that_is_missing_is_named(package, network, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UsageError, match=r"pip install 'auteur-face\[evaluate\]'"):
        network(tmp_path / "weights")


class Inflated(nn.Module):
    """Takes the arguments of StyleGAN-V's I3D; mean and deviation of each channel of a clip."""

    def forward(
        self, video: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False
    ) -> torch.Tensor:
        flat = video.flatten(2)
        return torch.cat([flat.mean(2), flat.std(2)], 1) if return_features and not rescale else flat[:, :, 0]


class MeanColours:
    """In place of Inception: mean colours [T, 3]."""

    def features(self, given: np.ndarray) -> np.ndarray:
        return given.mean((1, 2))


def scipys(first: np.ndarray, second: np.ndarray) -> float:
    """Heusel et al. 2017, equation 6, with a root of the product of the covariances."""
    linalg = pytest.importorskip("scipy.linalg", reason="comes with scikit-image")
    one, other = (np.cov(rows, rowvar=False) for rows in (first, second))
    root = linalg.sqrtm(one @ other).real
    return float(np.square(first.mean(0) - second.mean(0)).sum() + np.trace(one + other - 2 * root))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> NetworkEmotionClassifier:
    """Names the side of a picture that is brighter."""
    path = tmp_path_factory.mktemp("classifier") / "emotions.pt"
    torch.jit.trace(QuarterColours(2), torch.rand(2, 3, 32, 32)).save(str(path))
    path.with_name("emotions.pt.json").write_text(json.dumps({"labels": ["happy", "sad"], "size_px": 32}))
    return NetworkEmotionClassifier(path)


@pytest.fixture(scope="module")
def scored(talk, backend, classifier, write_film, tmp_path_factory):
    """Three clips of three people beside darkened and noisy ones, with a stand-in for every network."""
    place, random = tmp_path_factory.mktemp("given"), np.random.default_rng(0)
    torch.jit.trace(QuarterColours(12), torch.rand(2, 3, 112, 112)).save(str(place / "face.pt"))
    torch.jit.script(Inflated()).save(str(place / "i3d.pt"))
    clips = []
    for number, person in enumerate("abc"):
        real = [frame[:, ::-1] if number == 1 else np.roll(frame, number, 2) for frame in talk[:FRAMES]]
        made = [np.clip(f * 0.8 + random.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in real]
        write_film(place / "real" / f"{person}.mp4", [np.ascontiguousarray(frame) for frame in real])
        write_film(place / "made" / f"{person}.mp4", made)
        clips.append(
            Clip(
                name=f"{person}_happy",
                person=person,
                reference=place / "real" / f"{person}.mp4",
                videos={"made": place / "made" / f"{person}.mp4"},
                emotion="happy",
            )
        )
    networks = Networks(
        FaceFeatureNet(),
        inception=MeanColours(),
        i3d=I3d(place / "i3d.pt"),
        identity=IdentityNetwork(place / "face.pt"),
    )
    protocol = dataclasses.replace(protocols.load("pairs"), size_px=96)
    return evaluate_clips(
        clips, ClipScorer(protocol, backend, networks, classifier=classifier, baselines=False)
    )


@pytest.mark.parametrize("metric", ["fid", "fvd"])
def test_set_distances_of_a_report_are_those_of_all_clips_together(scored, metric):
    rows = {
        system: np.concatenate([clip.scores[system].features[metric] for clip in scored.clips])
        for system in ("made", REAL)
    }
    assert len(rows["made"]) == (3 if metric == "fvd" else len(rows[REAL])) and len(rows[REAL]) >= 3
    found = scored.summary["made"][metric]
    assert found.mean == pytest.approx(scipys(rows["made"], rows[REAL]), rel=1e-3, abs=1e-4)
    assert found.mean > 10 * scored.summary[REAL][metric].mean
    assert (found.count, found.groups) == (3, 3)


def test_csim_of_a_report_is_the_given_networks(scored):
    assert scored.summary[REAL]["csim"].mean == pytest.approx(1)
    assert scored.summary["made"]["csim"].mean < 0.9999


def test_the_named_emotion_of_a_report_is_the_given_classifiers(scored, classifier):
    named = [majority(classifier(np.stack(clip.scores[REAL].thumbnails))) for clip in scored.clips]
    assert named[0] != named[1], "the second person is the first one mirrored"
    assert [clip.scores[REAL].values["emotion"] for clip in scored.clips] == [one == "happy" for one in named]
