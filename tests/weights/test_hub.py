"""Models as folders and on the Hub: every shipped one comes back bit for bit, and damage has a name."""

import hashlib
import json
import re
import socket

import pytest
import torch
from hub_server import COMMIT, hub
from safetensors.torch import load_file as read_tensors
from safetensors.torch import save_file
from torch import nn

from auteur import weights
from auteur.errors import InputError, UsageError, WeightsError
from auteur.synthesis.denoiser.parts import part_names, parts
from auteur.weights.hub import (
    BLANKS,
    CARD,
    CONFIG,
    LOADERS,
    SAVED,
    WEIGHTS,
    from_pretrained,
    push_to_hub,
    save_pretrained,
)

pytestmark = pytest.mark.slow

SMALL = "habits"


@pytest.fixture
def server(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with the extra full")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with hub("hf_secret") as running:
        yield running


@pytest.fixture
def api(server, monkeypatch, tmp_path):
    """An `HfApi` that talks to the server and keeps nothing between tests."""
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    class Here(HfApi):
        def snapshot_download(self, *args, **kwargs):
            return super().snapshot_download(*args, cache_dir=tmp_path / "cache", **kwargs)

    return Here(endpoint=server.address, token=server.token)


def test_every_shipped_model_has_a_way_in():
    ways = [*BLANKS, *LOADERS, *SAVED]
    assert weights.shipped().keys() <= set(ways)
    assert len(ways) == len(set(ways))


@pytest.mark.parametrize("name", weights.shipped())
def test_a_shipped_model_comes_back_bit_for_bit(tmp_path, name):
    place = save_pretrained(name, tmp_path / "model")
    assert sorted(path.name for path in place.iterdir()) == sorted((WEIGHTS, CONFIG, CARD))
    assert (place / WEIGHTS).read_bytes() == weights.path_of(name).read_bytes()
    model = from_pretrained(name, place)
    network = model if isinstance(model, nn.Module) else model._encoder
    assert not network.training
    saved = read_tensors(weights.path_of(name))
    held = network.state_dict()
    if name == "denoiser":  # its file is sorted by parts
        held = parts(network, part_names(network)).state_dict()
    assert held.keys() == saved.keys()
    for key, tensor in saved.items():
        assert torch.equal(held[key], tensor.float() if tensor.is_floating_point() else tensor)


FREE = {"matte"}
"""Weights by Google alone, under Apache-2.0."""


@pytest.mark.parametrize("name", weights.shipped())
def test_models_trained_on_research_data_are_marked(tmp_path, name):
    text = (save_pretrained(name, tmp_path) / CARD).read_text(encoding="utf-8")
    if name in FREE:
        assert text.startswith("---\nlicense: apache-2.0\n")
        return
    assert text.startswith("---\nlicense: other\nlicense_name: non-commercial\n")


@pytest.mark.parametrize("name", weights.shipped())
def test_the_card_comes_along(tmp_path, name):
    text = (save_pretrained(name, tmp_path) / CARD).read_text(encoding="utf-8")
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert front
    facts = dict(line.split(": ", 1) for line in front[1].splitlines())
    assert facts["library_name"] == "auteur-face"
    assert facts["license"]
    assert f'from_pretrained("{name}"' in text
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target.startswith("http"), f"{target} leads nowhere on the Hub"
    card = weights.path_of(name).with_suffix(".md").read_text(encoding="utf-8")
    if not re.search(r"^Licence:", card, re.MULTILINE):
        assert facts["license_name"] == "non-commercial"
        assert "non-commercial use only" in text


@pytest.mark.parametrize(
    ("line", "front"),
    [
        ("Licence: CC-BY-NC-4.0.", "license: cc-by-nc-4.0\n"),
        ("Licence: apache-2.0", "license: apache-2.0\n"),
        ("Licence: for research: ask us", "license: other\nlicense_name: for-research-ask-us\n"),
        ("We like cake.", "license: other\nlicense_name: non-commercial\n"),
    ],
)
def test_licences(tmp_path, line, front):
    card = tmp_path / "card.md"
    card.write_text(f"# Mine\n\n{line}\n", encoding="utf-8")
    text = (save_pretrained(SMALL, tmp_path / "model", card=card) / CARD).read_text(encoding="utf-8")
    assert text.startswith(f"---\n{front}")
    assert ("non-commercial use only" in text) == ("cake" in line)


def test_the_front_matter_is_what_the_hub_reads(tmp_path):
    cards = pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with the extra full")
    place = save_pretrained("face_flow", tmp_path)
    facts = cards.ModelCard.load(place / CARD).data
    assert facts.library_name == "auteur-face"
    assert facts.license == "other"
    assert "talking-head" in facts.tags


def test_the_config_names_its_kind(tmp_path):
    config = json.loads((save_pretrained("face_flow", tmp_path) / CONFIG).read_text(encoding="utf-8"))
    assert config["model"] == "face_flow"
    assert config["sha256"] == weights.shipped()["face_flow"]
    assert config["config"]["face_flow"]["flow"]["channels"] == 40


def trained(tmp_path) -> tuple:
    """Weights of one's own, as a recipe writes them."""
    path = tmp_path / "mine.safetensors"
    tensors = {key: value + 1 for key, value in read_tensors(weights.path_of(SMALL)).items()}
    save_file(tensors, path)
    return path, tensors


def test_weights_of_ones_own(tmp_path):
    path, tensors = trained(tmp_path)
    place = save_pretrained(SMALL, tmp_path / "model", file=path)
    assert "are not documented" in (place / CARD).read_text(encoding="utf-8")
    held = from_pretrained(SMALL, place).state_dict()
    assert all(torch.equal(held[key], tensor.float()) for key, tensor in tensors.items())


def test_weights_of_another_model_are_not_saved(tmp_path):
    with pytest.raises(WeightsError, match="does not fit"):
        save_pretrained(SMALL, tmp_path / "model", file=weights.path_of("detector"))
    assert not (tmp_path / "model").exists()


def test_nothing_is_replaced_by_default(tmp_path):
    place = save_pretrained(SMALL, tmp_path / "model")
    with pytest.raises(InputError, match="exists already"):
        save_pretrained(SMALL, place)
    save_pretrained(SMALL, place, overwrite=True)


def test_a_card_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"gone\.md"):
        save_pretrained(SMALL, tmp_path / "model", card=tmp_path / "gone.md")


def test_an_unknown_model(tmp_path):
    with pytest.raises(WeightsError, match="'mouth'"):
        save_pretrained("mouth", tmp_path)


def test_another_model_than_requested(tmp_path):
    with pytest.raises(WeightsError, match="holds the model 'habits', not 'motion'"):
        from_pretrained("motion", save_pretrained(SMALL, tmp_path))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda place: (place / WEIGHTS).write_bytes(b"x" * 100), "SHA-256"),
        (lambda place: (place / WEIGHTS).unlink(), "cannot read the weights"),
        (lambda place: (place / CONFIG).unlink(), "has no config"),
        (lambda place: (place / CONFIG).write_text("{"), "has no config"),
        (lambda place: (place / CONFIG).write_text("[]"), "holds no object"),
        (lambda place: (place / CONFIG).write_text('{"model": "habits"}'), "SHA-256"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    place = save_pretrained(SMALL, tmp_path)
    damage(place)
    with pytest.raises(WeightsError, match=message):
        from_pretrained(SMALL, place)


def test_weights_that_do_not_fit_are_named(tmp_path):
    place = save_pretrained(SMALL, tmp_path)
    save_file({"a": torch.zeros(1)}, place / WEIGHTS)
    config = json.loads((place / CONFIG).read_text())
    config["sha256"] = hashlib.sha256((place / WEIGHTS).read_bytes()).hexdigest()
    (place / CONFIG).write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="does not fit"):
        from_pretrained(SMALL, place)


def test_pushed_and_fetched(server, api):
    address = push_to_hub("face_flow", "me/my-motion", private=True, api=api)
    assert address == f"{server.address}/me/my-motion/commit/{COMMIT}"
    assert server.private["me/my-motion"]
    assert server.files["me/my-motion"].keys() == {WEIGHTS, CONFIG, CARD}
    server.files["me/my-motion"]["evil.pkl"] = server.files["me/my-motion"]["modeling.py"] = b"boom"
    model = from_pretrained("face_flow", "me/my-motion", api=api)
    ours = weights.load_file(type(model)(model.config), weights.path_of("face_flow"))
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), ours.state_dict().values(), strict=True)
    )
    assert set(server.fetched) == {WEIGHTS, CONFIG}
    assert not server.unknown


def test_weights_of_ones_own_are_pushed(server, api, tmp_path):
    path, _ = trained(tmp_path)
    push_to_hub(SMALL, "me/habits", file=path, api=api)
    assert server.files["me/habits"][WEIGHTS] == path.read_bytes()


def test_tampered_weights_are_refused(server, api):
    push_to_hub(SMALL, "me/habits", api=api)
    held = server.files["me/habits"]
    held[WEIGHTS] = held[WEIGHTS][:-1] + bytes([held[WEIGHTS][-1] ^ 1])
    with pytest.raises(WeightsError, match="SHA-256"):
        from_pretrained(SMALL, "me/habits", api=api)


def test_a_wrong_token(server, tmp_path):
    from huggingface_hub import HfApi

    with pytest.raises(WeightsError, match=r"cannot push to 'me/habits'.*token") as caught:
        push_to_hub(SMALL, "me/habits", api=HfApi(endpoint=server.address, token="hf_" + "wrong"))
    assert "hf_wrong" not in str(caught.value)
    assert not server.files


def test_a_repository_that_is_not_there(api):
    with pytest.raises(WeightsError, match="cannot fetch 'me/nothing'"):
        from_pretrained(SMALL, "me/nothing", api=api)


def test_no_connection(api, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        api.endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(WeightsError, match="cannot fetch"):
            from_pretrained(SMALL, "me/habits", api=api)
        with pytest.raises(WeightsError, match="cannot push"):
            push_to_hub(SMALL, "me/habits", api=api)


@pytest.mark.parametrize("repo_id", ["", "habits", "a/b/c", "../x", "me/ha bits"])
def test_names_that_are_no_repository(tmp_path, repo_id):
    with pytest.raises(UsageError, match="OWNER/NAME"):
        push_to_hub(SMALL, repo_id)
    if repo_id:
        with pytest.raises(WeightsError, match="neither a folder nor a repository"):
            from_pretrained(SMALL, repo_id)
