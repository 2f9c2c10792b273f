"""A service in this process, with its processes of models, and things to send to it."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

pytest.importorskip("fastapi", reason="the service needs the extra studio")
pytest.importorskip("sse_starlette", reason="the service needs the extra studio")
pytest.importorskip("python_multipart", reason="the service needs the extra studio")
testclient = pytest.importorskip("starlette.testclient", reason="needs httpx2, which calls without a network")

from auteur.service.app import make_app  # noqa: E402 - after it is known to be there
from auteur.service.limits import Limits, ServiceSettings  # noqa: E402

LIMITS = Limits(upload_bytes=3_000_000, json_bytes=200_000, queued_jobs=60, speech_sec=20, keep_sec=3600)


@pytest.fixture(scope="session")
def portrait(astronaut) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(astronaut[0:257, 96:353])).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def talk() -> bytes:
    """Half a second of a buzzing voice."""
    return wave_bytes(0.5)


def wave_bytes(seconds: float) -> bytes:
    times = np.arange(round(16000 * seconds)) / 16000
    voice = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 20))
    loudness = 0.5 * (1 - np.cos(2 * np.pi * 4 * times))
    out = io.BytesIO()
    soundfile.write(out, (0.1 * loudness * voice).astype(np.float32), 16000, format="WAV")
    return out.getvalue()


def settings_of(folder: Path, **changes: Any) -> ServiceSettings:
    return ServiceSettings(folder=folder, **{"limits": LIMITS, "preset": "warp", **changes})


def client_of(folder: Path, **changes: Any) -> Any:
    return testclient.TestClient(make_app(settings_of(folder, **changes)), base_url="http://127.0.0.1:7860")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder) -> Iterator[Any]:
    with client_of(folder) as made:
        yield made


def upload(client: Any, content: bytes, name: str = "a.bin") -> dict[str, Any]:
    answer = client.post("/v1/uploads", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def pair(client, portrait, talk) -> dict[str, str]:
    """Ids of a portrait and a speech."""
    return {"portrait": upload(client, portrait)["id"], "speech": upload(client, talk)["id"]}


def ended(client: Any, identity: str, most_sec: float = 120) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + most_sec
    while time.monotonic() < deadline:
        job = client.get(f"/v1/videos/{identity}").json()
        if job["status"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"still {job['status']} after {most_sec} s")


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
