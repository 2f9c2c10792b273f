"""The notebook in examples/ runs from its first cell to its last, and leaves what it promises."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_notebook_runs_end_to_end(tmp_path, monkeypatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install '.[dev]'")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install '.[dev]'")
    for package in ("ipykernel", "pandas"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[dev]'")
    shutil.copy(EXAMPLES / "speech.flac", tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(EXAMPLES / "direct_a_face.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    shown = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    ]
    assert sum("<video" in page.get("text/html", "") for page in shown) == 2
    assert sum("<svg" in page.get("text/html", "") for page in shown) == 3
    assert any("image/png" in page for page in shown)

    from auteur.provenance import Verdict, verify

    for name in ("small.mp4", "small.webm", "small.gif", "small_frames"):
        assert verify(tmp_path / name).verdict is Verdict.INTACT


@pytest.mark.slow
def test_the_hosted_demo_is_a_page_of_under_a_hundred_lines() -> None:
    source = EXAMPLES / "hosted_demo.py"
    assert len(source.read_text(encoding="utf-8").splitlines()) < 100
    pytest.importorskip(
        "gradio", reason="gradio is not installed; it is no dependency: pip install 'gradio>=6'"
    )
    load = "import sys; sys.path.insert(0, sys.argv[1]); import hosted_demo"
    code = f"{load}; print(len(hosted_demo.page().blocks))"
    done = subprocess.run([sys.executable, "-c", code, str(EXAMPLES)], capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) > 15, done.stderr


def test_the_notebook_is_kept_without_results() -> None:
    import json

    notebook = json.loads((EXAMPLES / "direct_a_face.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None
            compile("".join(cell["source"]), "cell", "exec")
