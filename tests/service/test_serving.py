"""The command: address, port, folder; a second service in the way is one clear line."""

import json
import os
import signal
import subprocess
import sys

import pytest

from auteur.cli import main
from auteur.errors import InputError
from auteur.service import serving
from service import conftest

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path):
    """(process, address) of a service of its own."""
    command = [sys.executable, "-m", "auteur.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--folder", str(tmp_path / "one")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AUTEUR_TOKEN": ""},
    )
    assert process.stdout is not None
    yield process, json.loads(process.stdout.readline())["url"]
    process.kill()
    process.communicate()


def refused(process, *options):
    """Output of a second service; it ends by itself, the first one goes on."""
    command = [sys.executable, "-m", "auteur.cli", "serve", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it was not refused; the first one printed {process.communicate()}")
    assert process.poll() is None, process.communicate()
    assert done.returncode == 3 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_a_second_service_is_refused_in_one_line(running, tmp_path):
    process, url = running
    assert url.startswith("http://127.0.0.1:")
    port = url.rstrip("/").rpartition(":")[2]
    message = refused(process, "--port", port, "--folder", str(tmp_path / "two"))
    assert f"port {port}" in message and "--port" in message
    assert "--folder" in refused(process, "--port", "0", "--folder", str(tmp_path / "one"))

    httpx = pytest.importorskip("httpx2", reason="needs an HTTP client")
    assert httpx.get(f"{url}v1/units", timeout=30).json()["controls"]
    assert "auteur_token" not in httpx.get(f"{url}docs", timeout=60).text
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in error, error


def test_the_port_is_taken_at_once_and_small_answers_do_not_wait(tmp_path):
    uvicorn = pytest.importorskip("uvicorn", reason="the service needs the extra studio")
    settings = conftest.settings_of(tmp_path, port=0)
    bound = serving._bound(uvicorn.Config("none", host="127.0.0.1", port=0, log_config=None), settings)
    try:
        assert bound.getsockopt(6, 1) == 1  # TCP_NODELAY
        port = bound.getsockname()[1]
        config = uvicorn.Config("none", host="127.0.0.1", port=port, log_config=None)
        with pytest.raises(InputError, match=f"port {port}"):  # also before anything is served
            serving._bound(config, conftest.settings_of(tmp_path, port=port))
    finally:
        bound.close()


def test_other_addresses_need_a_token(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AUTEUR_TOKEN", raising=False)
    assert main(["serve", "--host", "0.0.0.0", "--folder", str(tmp_path)]) == 2  # noqa: S104 - refused
    assert "AUTEUR_TOKEN" in capsys.readouterr().err
    assert main(["studio", "--port", "70000", "--no-browser", "--folder", str(tmp_path)]) == 2
    assert "between 0 and 65535" in capsys.readouterr().err
