"""Checkpoints in their published layout become folders that load; misfits are named and leave nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from parity import ROOT, needs_parity, state_of
from safetensors.torch import load_file, save_file
from tiny_published import hashed, tiny, write_checkpoint, write_extras

from auteur.errors import AuteurError, InputError, UsageError, WeightsError
from auteur.provenance import hash_file
from auteur.synthesis.published import folder as opening
from auteur.synthesis.published.convert import convert_checkpoint
from auteur.synthesis.published.folder import open_published

pytestmark = pytest.mark.slow

KINDS = ("aniportrait", "hallo", "memo")
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("published")
    for kind in KINDS:
        write_checkpoint(kind, root / kind)
    return {kind: root / kind for kind in KINDS}


@pytest.fixture
def checkpoint(checkpoints: dict[str, Path], tmp_path: Path):
    def copied(kind: str) -> Path:
        return Path(shutil.copytree(checkpoints[kind], tmp_path / "in" / kind))

    return copied


@pytest.mark.parametrize("kind", KINDS)
def test_converted_folders_load_every_number(kind, checkpoints, tmp_path: Path) -> None:
    ticks: list[tuple[int, int]] = []
    out = convert_checkpoint(checkpoints[kind], tmp_path / "out", on_tensor=lambda *n: ticks.append(n))
    assert ticks[-1][0] == ticks[-1][1] == len(ticks)
    opened = open_published(out, device=CPU)
    assert opened.kind == kind
    for name, module in tiny(kind).named_children():
        wanted, found = hashed(name, module), opened.networks.get_submodule(name).state_dict()
        assert wanted.keys() == found.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    description = json.loads((out / "published.json").read_text())
    assert any("RAIL-M" in line for line in description["licences"])
    for source in description["sources"]:
        assert hash_file(checkpoints[kind] / source["file"]) == source["sha256"]
    for name, sha in description["files"].items():
        assert hash_file(out / name) == sha
    assert "RAIL-M" in (out / "README.md").read_text()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_not_used_is_noted(checkpoints, tmp_path: Path) -> None:
    out = convert_checkpoint(checkpoints["aniportrait"], tmp_path / "out")
    notes = json.loads((out / "published.json").read_text())["notes"]
    assert any("20 tensors of reference_unet" in note for note in notes)


def test_positions_are_made_where_the_motion_file_lacks_them(checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("aniportrait")
    motion = torch.load(folder / "motion_module.pth")
    torch.save({k: v for k, v in motion.items() if not k.endswith("pe")}, folder / "motion_module.pth")
    out = convert_checkpoint(folder, tmp_path / "out")
    assert "42 tables of positions" in (out / "published.json").read_text()
    found = load_file(out / "denoising_unet.safetensors")
    name = next(key for key in motion if key.endswith("pe"))
    assert found[name].shape == (1, 32, motion[name].shape[-1])
    assert torch.equal(found[name][:, :24], motion[name])


def test_motion_keys_of_the_denoising_file_count(checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("aniportrait")
    motion, unet = (torch.load(folder / f"{n}.pth") for n in ("motion_module", "denoising_unet"))
    name = next(key for key in motion if key.endswith("proj_in.weight"))
    torch.save(unet | {name: torch.zeros_like(motion[name])}, folder / "denoising_unet.pth")
    out = convert_checkpoint(folder, tmp_path / "out")
    assert not load_file(out / "denoising_unet.safetensors")[name].any()
    assert "1 tensors are in two files" in (out / "published.json").read_text()


def changed(folder: Path, file: str, change) -> None:
    path = folder / file
    tensors = torch.load(path)
    change(tensors)
    torch.save(tensors, path)


def refused(folder: Path, out: Path, match: str) -> str:
    with pytest.raises(InputError, match=match) as caught:
        convert_checkpoint(folder, out)
    assert not out.exists()
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".part")]
    return str(caught.value)


def test_every_misfit_is_listed_at_once(checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("aniportrait")

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["final_proj.bias"]
        tensors["foreign.weight"] = torch.ones(2)
        tensors["conv_layers.0.weight"] = torch.ones(3, 3, 5, 5)
        tensors["conv_layers.3.weight"] = torch.ones(16, 3, 4, 4, dtype=torch.int32)

    changed(folder, "pose_guider.pth", spoil)
    message = refused(folder, tmp_path / "out", "does not fit AniPortrait")
    for part in (
        "final_proj.bias is missing",
        "foreign.weight is not part of it",
        "conv_layers.0.weight has shape (3, 3, 5, 5), needs (3, 3, 3, 3)",
        "conv_layers.3.weight has numbers of type I32",
    ):
        assert part in message


def test_files_that_were_mixed_up_are_recognised(checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("aniportrait")
    shutil.copy(folder / "reference_unet.pth", folder / "pose_guider.pth")
    assert "pose_guider.pth looks like a ReferenceNet" in refused(folder, tmp_path / "out", "looks like")
    folder = checkpoint("memo")
    shutil.copy(
        folder / "image_proj" / "diffusion_pytorch_model.safetensors",
        folder / "diffusion_net" / "diffusion_pytorch_model.safetensors",
    )
    refused(folder, tmp_path / "out", r"no UNet of Stable Diffusion 1\.5's kind")


def test_missing_double_and_unknown_files(checkpoint, checkpoints, tmp_path: Path) -> None:
    folder = checkpoint("aniportrait")
    (folder / "motion_module.pth").unlink()
    refused(folder, tmp_path / "out", r"lacks motion_module\.pth")
    folder = checkpoint("hallo")
    (folder / "again").mkdir()
    shutil.copy(folder / "hallo" / "net.pth", folder / "again" / "net.pth")
    refused(folder, tmp_path / "out", r"net\.pth 2 times")
    folder = checkpoint("memo")
    shutil.rmtree(folder / "wav2vec")
    refused(folder, tmp_path / "out", "lacks a folder for speech_encoder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "out", "no known model.*pose_guider")
    refused(tmp_path / "nothing", tmp_path / "out", "is no folder")
    shutil.copy(checkpoints["aniportrait"] / "pose_guider.pth", folder)
    refused(folder, tmp_path / "out", "several models")


def test_truncated_and_poisoned_files(checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Payload:
        def __reduce__(self):
            return os.system, ("touch payload-ran",)

    monkeypatch.chdir(tmp_path)
    folder = checkpoint("hallo")
    path = folder / "hallo" / "net.pth"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(folder, tmp_path / "out", "damaged or truncated")
    torch.save({"denoising_unet.conv_in.weight": torch.ones(1), "x": Payload()}, path)
    refused(folder, tmp_path / "out", "nothing was executed")
    assert not (tmp_path / "payload-ran").exists()


def test_numbers_that_are_not_finite_leave_nothing(checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("aniportrait")
    changed(folder, "pose_guider.pth", lambda t: t["conv_layers.0.weight"].fill_(float("nan")))
    refused(folder, tmp_path / "out", r"conv_layers\.0\.weight holds NaN or infinity")


def test_outputs_are_not_replaced_and_need_room(
    checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        convert_checkpoint(checkpoints["memo"], tmp_path / "out")
    full = shutil._ntuple_diskusage(100, 99, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    refused(checkpoints["memo"], tmp_path / "other", "GB free")


def test_a_cancelled_conversion_leaves_nothing(checkpoints, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(checkpoints["memo"], tmp_path / "out", on_tensor=stop)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_do_not_load(checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = convert_checkpoint(checkpoints["memo"], tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(opening, "free_memory_bytes", lambda: 1000)
        with pytest.raises(UsageError, match=r"take 0\.0 GB in float32 .* more memory"):
            open_published(out, device=CPU)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="need a CUDA GPU"):
            open_published(out)
    tensors = load_file(out / "image_proj.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "proj.bias"}, out / "image_proj.safetensors")
    with pytest.raises(WeightsError, match=r"image_proj\.safetensors: proj\.bias is missing"):
        open_published(out, device=CPU)
    (out / "image_proj.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(AuteurError, match="is not a safetensors file"):
        open_published(out, device=CPU)
    (out / "published.json").write_text("{}")
    with pytest.raises(WeightsError, match="convert the checkpoint again"):
        open_published(out, device=CPU)


@needs_parity
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_in_the_published_layout_load_strictly(kind, tmp_path: Path) -> None:
    """Files that the references' own script writes, with the originals' names and hashed numbers."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    folder = tmp_path / kind
    subprocess.run([sys.executable, ROOT / "weights.py", kind, folder], check=True, capture_output=True)
    if kind == "aniportrait":
        shutil.copy(ROOT / kind / "config_vae.json", folder / "sd-vae-ft-mse" / "config.json")
        shutil.copy(ROOT / kind / "config_image_encoder.json", folder / "image_encoder" / "config.json")
    else:  # the references' speech network has a weight in another form than published files
        write_extras(kind, folder)
    model = open_published(convert_checkpoint(folder, tmp_path / "out"), device=CPU)
    for name, network in model.networks.named_children():
        stored = state_of(kind, name)
        assert stored.keys() >= network.state_dict().keys(), name
        for key, value in network.state_dict().items():
            assert torch.equal(value, stored[key].to(value.dtype)), f"{name}: {key}"
