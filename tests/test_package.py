"""Properties of the whole package: what imports what, what is never used, how large things are."""

import ast
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Annotated, get_type_hints

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import auteur
from auteur.media import read_speech, write_audio, write_image
from auteur.provenance import Mark

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "auteur"
WEIGHTS = PACKAGE / "weights"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {"errors"},
    {"files", "malloc", "prefetch", "templates"},
    {"engines", "signals", "provenance", "weights"},
    {"facs", "watermark"},
    {"formats", "media", "face", "speech"},
    {"expression", "motion", "synthesis"},
    {"painting", "plots", "tracking", "voice"},
    {"talking_head"},
    {"batch", "evaluate"},
    {"service", "studio"},
    {"lab.data"},
    {"lab.corpora"},
    {"lab.prepare"},
    {"lab.train"},
    {"cli"},
)
"""A module imports its own folder and whatever stands further up in this list."""
NO_PYTHON = {"studio"}
"""A folder of files that the service gives out."""

LABORATORY_VERBS = {"cli/prepare.py", "cli/train.py"}
"""Of the product, only the two verbs that start the laboratory import it."""

UPWARD = {
    ("provenance/verify.py", "media"),
    ("provenance/verify.py", "watermark"),
    ("watermark/files.py", "media"),
}
"""Reading marks needs the readers of media, which write marks; imported inside the function."""

CODECS = {"av", "soundfile", "soxr", "PIL"}
CODEC_USERS = {"media", "lab.data", "lab.corpora", "lab.prepare", "lab.train", "evaluate"}
CODEC_EXCEPTIONS = {("signals/waveform.py", "soxr")}

NETWORK = {"aiohttp", "ftplib", "http", "httpx", "requests", "smtplib", "socket", "ssl", "urllib", "urllib3"}
UNSAFE_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "os.system", "os.popen"}
UNSAFE_ARGUMENTS = {"shell", "allow_pickle", "trust_remote_code"}

PERSONS = re.compile(
    r"(?<![a-z])(told|tells|asks|asked|hears|knows|wants|nobody|somebody|whoever)(?![a-z])", re.IGNORECASE
)
"""What values and functions do not do, and who is no subject of a sentence."""

MOST_LINES_PER_FILE = 400
MOST_LINES_PER_FUNCTION = 60
MOST_PARAMETERS = 8
MOST_WEIGHT_BYTES = 40_000_000


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def layer_of(module: Path) -> str:
    first, *rest = module.relative_to(PACKAGE).parts
    return f"lab.{rest[0]}" if first == "lab" and len(rest) > 1 else first.removesuffix(".py")


@cache
def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def imports(module: Path) -> Iterator[tuple[str, int]]:
    """Yields every imported module by its full name, and the line; a folder of ours as "auteur.folder"."""
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(module)}:{node.lineno} imports relatively"
            if node.module == "auteur":
                folders = [alias.name for alias in node.names if (PACKAGE / alias.name).is_dir()]
                yield from ((f"auteur.{folder}", node.lineno) for folder in folders)
            elif node.module:
                yield node.module, node.lineno


def imported_layers(module: Path) -> Iterator[tuple[str, int]]:
    for name, line in imports(module):
        if name.startswith("auteur."):
            folder, *rest = name.split(".")[1:]
            yield f"lab.{rest[0]}" if folder == "lab" and rest else folder, line


def may_import(layer: str, other: str) -> bool:
    if layer == other:
        return True
    rank = {name: i for i, names in enumerate(LAYERS) for name in names}
    return rank[other] < rank[layer]


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = function.args
    every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [one.arg for one in every if one is not None and one.arg not in ("self", "cls")]


IMPORT_UNDER_WATCH = """
import os, sys
seen = []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "subprocess.Popen", "os.posix_spawn")
def watch(event, arguments):
    if event.startswith(("socket.", "urllib.")) or event in CHANGES:
        seen.append((event, str(arguments)))
    elif event == "open" and arguments[2] & WRITES and arguments[0] != os.devnull:
        seen.append((event, str(arguments)))
sys.addaudithook(watch)
for name in sys.argv[1].split():
    __import__(name)
heavy = {"torch", "av", "PIL", "soundfile", "soxr", "cv2", "mediapipe", "matplotlib", "scipy", "tyro", "rich"}
assert not (loaded := heavy & sys.modules.keys()), f"loaded {loaded}"
assert not seen, f"touched {seen}"
"""


@pytest.mark.parametrize(
    "modules", ["auteur", "auteur.signals auteur.facs auteur.formats auteur.provenance auteur.cli"]
)
def test_importing_is_light_and_touches_nothing(modules, tmp_path):
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_UNDER_WATCH, modules],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_reading_media_needs_no_torch(tmp_path):
    code = "import sys, auteur.media; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


def test_every_folder_has_its_place():
    assert {layer_of(module) for module in MODULES} - {"__init__", "lab"} == set().union(*LAYERS) - NO_PYTHON


def test_arrows_point_one_way():
    wrong = [
        f"{name_of(module)}:{line} imports {other}"
        for module in MODULES
        if layer_of(module) != "__init__"
        for other, line in imported_layers(module)
        if not may_import(layer_of(module), other) and (name_of(module), other) not in UPWARD
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_through_others():
    """Imports inside functions and for type checkers count as well, those of an `__init__` do not."""
    files = {
        f"auteur.{name_of(module)[:-3].replace('/', '.')}": module
        for module in MODULES
        if module.stem != "__init__"
    }
    graph = {
        name: {other for other, _ in imports(module) if other in files} for name, module in files.items()
    }
    TopologicalSorter(graph).prepare()  # CycleError names the files


def test_only_two_verbs_start_the_laboratory():
    users = {
        name_of(module)
        for module in MODULES
        if layer_of(module).split(".")[0] != "lab"
        for other, _ in imported_layers(module)
        if other.split(".")[0] == "lab"
    }
    assert users == LABORATORY_VERBS


def test_the_package_itself_imports_nothing_at_the_top():
    here = [
        node for node in parse(PACKAGE / "__init__.py").body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not here


def test_only_media_opens_media():
    wrong = [
        f"{name_of(module)}:{line} imports {name}"
        for module in MODULES
        if layer_of(module) not in CODEC_USERS
        for name, line in imports(module)
        if name.split(".")[0] in CODECS and (name_of(module), name) not in CODEC_EXCEPTIONS
    ]
    assert not wrong, "\n".join(wrong)


def test_opencv_is_for_training_and_measuring_only():
    users = {
        layer_of(module) for module in MODULES for name, _ in imports(module) if name.split(".")[0] == "cv2"
    }
    assert users <= {"lab.data", "lab.prepare", "lab.train", "evaluate"}


def test_nothing_reaches_for_the_network_or_unpickles():
    wrong = [
        f"{name_of(module)}:{line} imports {name}"
        for module in MODULES
        for name, line in imports(module)
        if name.split(".")[0] in NETWORK | UNSAFE_MODULES
    ]
    assert not wrong, "\n".join(wrong)


def test_only_data_preparation_and_voices_start_programs():
    users = {layer_of(module) for module in MODULES for name, _ in imports(module) if name == "subprocess"}
    assert users <= {"lab.data", "lab.prepare", "voice"}


def test_only_the_service_opens_a_socket_and_uvicorn_does_it():
    web = {"fastapi", "multipart", "python_multipart", "sse_starlette", "starlette", "uvicorn"}
    users = [(name_of(module), name.split(".")[0]) for module in MODULES for name, _ in imports(module)]
    assert {layer_of(PACKAGE / file) for file, name in users if name in web} <= {"service"}
    assert [file for file, name in users if name == "uvicorn"] == ["service/serving.py"]


def test_no_unsafe_call():
    wrong = [
        f"{name_of(module)}:{node.lineno} {ast.unparse(node)[:80]}"
        for module in MODULES
        for node in ast.walk(parse(module))
        if isinstance(node, ast.Call) and is_unsafe(node)
    ]
    assert not wrong, "\n".join(wrong)


def is_unsafe(call: ast.Call) -> bool:
    switched_on = any(
        keyword.arg in UNSAFE_ARGUMENTS and getattr(keyword.value, "value", True) is not False
        for keyword in call.keywords
    )
    return switched_on or ast.unparse(call.func) in UNSAFE_CALLS


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ("eval('1')", True),
        ("model.eval()", False),
        ("re.compile('a')", False),
        ("torch.load(path, weights_only=True)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("subprocess.run(command, shell=flag)", True),
    ],
)
def test_the_scan_itself(code, unsafe):
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert is_unsafe(call) is unsafe


def test_files_are_short():
    long = {name_of(module): len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES_PER_FILE}


def test_values_are_no_persons():
    """Of the prose rules in CONTRIBUTING.md: docstrings, comments, and names of functions and classes."""
    wrong = [
        f"{module.relative_to(ROOT)}:{line}: {found.group()}"
        for module in [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
        for line, text in prose(module)
        if (found := PERSONS.search(text))
    ]
    assert not wrong, "\n".join(wrong)


def prose(module: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno, str(node.value.value)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
    with module.open("rb") as file:
        yield from (
            (token.start[0], token.string)
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT
        )


def test_functions_are_short():
    long = [
        f"{name_of(module)}:{function.lineno} {function.name} has {lines} lines"
        for module in MODULES
        for function in functions(module)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MOST_LINES_PER_FUNCTION
    ]
    assert not long, "\n".join(long)


def test_functions_take_few_parameters():
    wide = [
        f"{name_of(module)}:{function.lineno} {function.name} has {count} parameters"
        for module in MODULES
        for function in functions(module)
        if (count := len(parameters(function))) > MOST_PARAMETERS
    ]
    assert not wide, "\n".join(wide)


def test_every_weights_file_has_its_hash_and_card():
    index = json.loads((WEIGHTS / "index.json").read_text(encoding="utf-8"))
    files = {path.stem: path for path in WEIGHTS.glob("*.safetensors")}
    assert index.keys() == files.keys()
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == index[name], name
    assert {card.stem for card in WEIGHTS.glob("*.md")} >= files.keys()
    assert sum(path.stat().st_size for path in files.values()) <= MOST_WEIGHT_BYTES


def test_weights_hold_tensors_only():
    others = {path.suffix for path in WEIGHTS.iterdir() if path.is_file()} - {
        ".safetensors",
        ".json",
        ".md",
        ".py",
    }
    assert not others


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_command_can_be_imported(project):
    module, _, function = project["scripts"]["auteur"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_versions_agree(project):
    assert project["version"] == auteur.__version__


def test_every_dependency_is_pinned_within_its_range(project):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *extras["dev"], *extras["plot"]):
        wanted = Requirement(text)
        if wanted.name == project["name"]:
            continue
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text


def test_constraints_name_versions_and_no_places():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"#.*|[a-z0-9-]+==[0-9][0-9a-z.]*", line), line
        assert "://" not in line


def commands(page: Path) -> list[list[str]]:
    """Commands in the shell blocks of a page, as words."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_make_targets_on_the_first_page_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [words[1] for words in commands(ROOT / "README.md") if words[0] == "make"]
    assert "test" in named
    assert set(named) <= targets


def test_verbs_on_the_first_page_exist():
    from auteur.cli import VERBS

    named = {words[1] for words in commands(ROOT / "README.md") if words[0] == "auteur"}
    assert named
    assert named <= VERBS.keys()


def commands_of_the_pages() -> list[list[str]]:
    """Words after `auteur` of the commands on README and in docs; examples with "…" are incomplete."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [words[1:] for page in pages for words in commands(page) if words[0] == "auteur"]
    return [words for words in lines if not words[0].startswith("-") and "…" not in words]


def is_recipe(words: list[str]) -> bool:
    return words[0] == "train" and words[1] != "--list" and "--smoke" not in words


@pytest.mark.parametrize(
    "words", [words for words in commands_of_the_pages() if not is_recipe(words)], ids=" ".join
)
def test_commands_of_the_pages_parse(words):
    import tyro

    from auteur.cli import VERBS

    function = getattr(import_module(VERBS[words[0]]), words[0])
    kind = get_type_hints(function)["arguments"]
    tyro.cli(kind, args=words[1:], config=(tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [words for words in commands_of_the_pages() if is_recipe(words)], ids=" ".join
)
def test_recipes_of_the_pages_parse(words):
    import tyro

    from auteur.lab.train.recipes import config_class

    if "--help" not in words:
        kind = Annotated[config_class(words[1]), tyro.conf.arg(name="")]
        tyro.cli(kind, args=words[2:])


@pytest.mark.slow
def test_python_on_the_first_page_runs(film, astronaut, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    (tmp_path / "me.mp4").write_bytes(film(8).read_bytes())
    mark = Mark()
    write_image(tmp_path / "me.jpg", np.ascontiguousarray(astronaut[0:257, 96:353]), mark=mark)
    speech = read_speech(ROOT / "examples" / "speech.flac").slice(0, 1)
    write_audio(tmp_path / "talk.wav", speech, mark=mark)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_continuous_integration_runs_the_commands_of_the_first_page():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"make .*\btest\b", script.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=lambda p: p.name
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md"), *WEIGHTS.glob("*.md")]
)
HISTORY = {"CHANGELOG.md"}
"""Pages that name what is gone, too."""


def missing_names(text: str) -> list[str]:
    """Source files and dotted names of the package that a page names in code spans and that are not there."""
    spans = " ".join(re.findall(r"`([^`\n]+)`", text))
    files = {path for path in re.findall(r"[\w./-]+\.py\b", spans) if "NAME" not in path}
    here = [
        path
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    known = "".join(f"/{path.relative_to(ROOT).as_posix()}\n" for path in here)
    names = set(re.findall(r"\bauteur(?:\.\w+)+", spans)) - {"auteur.__version__", "auteur.__all__"}
    return sorted(
        [path for path in files if f"/{path}\n" not in known]
        + [name for name in names if not is_defined(name)]
    )


def is_defined(name: str) -> bool:
    """Whether a dotted name is a module of the package, or a word in the module that it ends in."""
    here = PACKAGE
    for part in name.split(".")[1:]:
        if (here / part).is_dir():
            here = here / part
        elif here.with_suffix(".py").is_file() or not (here / f"{part}.py").is_file():
            module = here / "__init__.py" if here.is_dir() else here.with_suffix(".py")
            return re.search(rf"\b{part}\b", module.read_text(encoding="utf-8")) is not None
        else:
            here = here / part
    return True


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in HISTORY], ids=lambda p: p.name)
def test_pages_name_what_is_there(page):
    assert not missing_names(page.read_text(encoding="utf-8"))


def test_a_page_with_stale_names_is_found():
    text = "`motion/gone.py` `motion/mouth.py` `auteur.motion.Gone` `auteur.nowhere.x`"
    assert missing_names(text) == ["auteur.motion.Gone", "auteur.nowhere.x", "motion/gone.py"]


def test_examples_of_our_formats_can_be_read(tmp_path):
    from auteur.formats import read_au_track

    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    examples = {
        "track.json": re.search(r"```json\n(.*?)```", page, re.DOTALL),
        "table.csv": re.search(r"```\n(# auteur-au.*?)```", page, re.DOTALL),
    }
    for name, example in examples.items():
        assert example is not None
        (tmp_path / name).write_text(example[1], encoding="utf-8")
        assert read_au_track(tmp_path / name).frames == 2
