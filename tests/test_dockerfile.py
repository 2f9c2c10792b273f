"""The Dockerfile keeps the rules of a small, reproducible image that runs without root."""

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
KNOWN = {
    *(
        "FROM",
        "RUN",
        "CMD",
        "EXPOSE",
        "ENV",
        "COPY",
        "ENTRYPOINT",
        "VOLUME",
        "USER",
        "WORKDIR",
        "HEALTHCHECK",
    ),
}

if not DOCKERFILE.is_file():  # such as in an unpacked wheel
    pytest.skip("there is no Dockerfile beside the tests", allow_module_level=True)


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def test_every_instruction_is_known_and_base_images_are_fixed():
    assert {word for word, _ in instructions()} <= KNOWN
    assert instructions()[0][0] == "FROM"
    for image in of("FROM"):
        name = image.split()[0]
        assert re.fullmatch(r"python:3\.\d+-slim-\w+", name), f"{name} is no fixed small image"


def test_it_runs_as_another_user_than_root():
    last = max(place for place, (word, _) in enumerate(instructions()) if word == "FROM")
    users = [rest for word, rest in instructions()[last:] if word == "USER"]
    assert users and users[-1] not in ("root", "0")


def test_what_is_started_is_a_list_and_the_options_exist():
    from auteur.cli.serve import ServeArguments
    from auteur.cli.service_arguments import ServiceOptions

    words = [word for name in ("ENTRYPOINT", "CMD") for word in json.loads(of(name)[0])]
    assert words[:2] == ["auteur", "serve"]
    known = {**ServeArguments.__annotations__, **ServiceOptions.__annotations__}
    options = [word[2:].replace("-", "_") for word in words if word.startswith("--")]
    assert options and set(options) <= known.keys()
    (check,) = of("HEALTHCHECK")
    json.loads(check.partition("CMD ")[2])


def test_pip_keeps_no_cache_and_takes_tested_versions():
    commands = [part for rest in of("RUN") for part in rest.split("&&")]
    installs = [shlex.split(part) for part in commands if "pip install" in part]
    assert installs
    torch = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    for words in installs:
        assert "--no-cache-dir" in words
        pinned = [word for word in words if "==" in word]
        assert "constraints.txt" in words or pinned
        assert torch is None or all(word == f"torch=={torch[1]}" for word in pinned)
    assert not any("apt-get" in part or "curl" in part or "sudo" in part for part in commands)


def test_everything_that_is_copied_exists_and_is_let_through():
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[0] == "*"
    for rest in of("COPY"):
        if rest.startswith("--from="):
            continue
        for name in rest.split()[:-1]:
            assert (ROOT / name).exists() and f"!{name}" in allowed, name
