"""Who may call, and with what; nothing here starts a process of models."""

import subprocess
import sys

import pytest

from auteur.errors import UsageError
from auteur.service.bodies import parse_json
from auteur.service.problems import CallError
from auteur.service.store import is_id, new_id, shown_name
from service.conftest import client_of, code_of, settings_of

TOKEN = "-".join(["a", "long", "enough", "token", "for", "a", "test"])

TRAVERSAL = (
    "../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "....//....//etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "//etc/passwd",
    "C:\\windows\\win.ini",
    "file:///etc/passwd",
    "static/../../service/app.py",
    "%00",
    "a" * 32 + "/../../service.lock",
    "record.json",
    "~root",
    "proc/self/environ",
)
ELSEWHERE = (
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:7860/v1",
    "http://[::1]/",
    "http://0x7f000001/",
    "http://10.0.0.1/",
    "https://example.org/a.png",
    "ftp://example.org/a.wav",
    "gopher://127.0.0.1:25/",
    "concat:a.mp4|b.mp4",
    "data:image/png;base64,AAAA",
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with client_of(tmp_path_factory.mktemp("guarded"), token=TOKEN) as made:
        yield made


def test_only_the_loopback_is_open_without_a_token(tmp_path):
    assert settings_of(tmp_path).host == "127.0.0.1"
    for host in ("0.0.0.0", "::", "192.168.1.4"):  # noqa: S104 - refused
        with pytest.raises(UsageError, match="AUTEUR_TOKEN"):
            settings_of(tmp_path, host=host)
    with pytest.raises(UsageError, match="16 or more"):
        settings_of(tmp_path, token=TOKEN[:5])
    with pytest.raises(UsageError, match="letters"):
        settings_of(tmp_path, token=f"{TOKEN}; with=more")
    assert settings_of(tmp_path, host="0.0.0.0", token=TOKEN).token == TOKEN  # noqa: S104


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_other_names_of_this_host_are_refused(client, host):
    assert code_of(client.get("/v1/units", headers={"host": host})) == (403, "bad_host")


def test_pages_of_other_sites_are_refused(client):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"):
        answer = client.post("/v1/preview", json={}, headers={"origin": origin})
        assert code_of(answer) == (403, "bad_origin")
    assert code_of(client.get("/v1/units", headers={"sec-fetch-site": "cross-site"})) == (403, "bad_origin")
    own = client.get(
        "/v1/units", headers={"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}
    )
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
    assert own.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in own.headers["content-security-policy"]


def test_a_token_is_needed_where_there_is_one(guarded):
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"cookie": "auteur_token=x"},
    ):
        assert code_of(guarded.get("/v1/units", headers=headers)) == (401, "no_token")
        assert code_of(guarded.get("/", headers=headers)) == (401, "no_token")
    assert guarded.get("/v1/units", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    answer = guarded.get(f"/?token={TOKEN}", follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert guarded.get("/v1/units", headers={"cookie": cookie.partition(";")[0]}).status_code == 200


@pytest.mark.parametrize("path", TRAVERSAL)
@pytest.mark.parametrize(
    "place", ["/v1/videos/{}", "/v1/videos/{}/content", "/v1/uploads/{}/content", "/static/{}"]
)
def test_no_path_leads_to_a_file(client, path, place):
    answer = client.get(place.format(path), follow_redirects=False)
    assert answer.status_code in (400, 404, 405, 422) or answer.headers.get("location") == "/docs", (
        answer.text
    )
    assert "root:" not in answer.text and "make_app" not in answer.text


@pytest.mark.parametrize("text", (*TRAVERSAL, *ELSEWHERE))
def test_no_text_of_a_body_becomes_a_path_or_an_address(client, text):
    for key in ("portrait", "speech", "track", "drive", "head_track", "gaze_track", "background"):
        body = {key: text} if key == "portrait" else {key: text, "portrait": new_id()}
        answer = client.post("/v1/videos", json=body)
        assert answer.status_code in (404, 422), answer.text
        assert "passwd" not in answer.text or text in str(answer.json()["error"]["message"])
    for path, key in (("/v1/listen", "speech"), ("/v1/track", "source")):
        assert code_of(client.post(path, json={key: text})) == (422, "bad_value")
    assert code_of(client.post("/v1/convert", json={"track": text, "to": "fex"})) == (422, "bad_value")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b"\xff\xfe{}",
        b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_bad_json_is_one_line(client, content):
    answer = client.post("/v1/videos", content=content, headers={"content-type": "application/json"})
    assert code_of(answer) == (400, "bad_json")
    assert len(answer.json()["error"]["message"].splitlines()) == 1


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_bodies_of_another_type_are_refused(client, kind):
    headers = {} if kind is None else {"content-type": kind}
    assert code_of(client.post("/v1/preview", content=b"{}", headers=headers)) == (415, "bad_type")


def test_bodies_have_a_largest_size_on_every_call(client):
    for path in ("/v1/videos", "/v1/preview", "/v1/listen", "/v1/track", "/v1/convert", "/v1/say"):
        large = b'{"a": "' + b"x" * 200_001 + b'"}'
        answer = client.post(path, content=large, headers={"content-type": "application/json"})
        assert code_of(answer) == (413, "too_large"), path
    large = b"x" * 3_000_001
    assert code_of(client.post("/v1/uploads", content=large)) == (413, "too_large")
    for path in ("/v1/uploads", "/v1/videos"):
        assert code_of(client.post(path, files={"file": ("a", large)})) == (413, "too_large")


def test_a_body_that_lies_about_its_length_is_cut(client):
    def endless():
        for _ in range(100):
            yield b"x" * 100_000

    assert code_of(client.post("/v1/uploads", content=endless())) == (413, "too_large")
    assert not list(client.app._app.state.service.store.uploads.ids())


def test_names_are_shown_and_never_used():
    assert shown_name("../../etc/passwd", "file") == "passwd"
    assert shown_name("C:\\me\\portrait.png", "file") == "portrait.png"
    assert shown_name("a\x1b[2J\n.png", "file") == "a\\x1b[2J\\n.png"
    assert shown_name("../", "file") == "file" and shown_name(None, "file") == "file"
    assert len(shown_name("x" * 500, "file")) == 120
    assert is_id(new_id()) and not is_id("g" * 32) and not is_id(new_id().upper() + "a") and not is_id(7)
    assert len({new_id() for _ in range(100)}) == 100
    with pytest.raises(CallError):
        parse_json("3")


def test_units_and_mesh_name_what_there_is(client):
    known = client.get("/v1/units").json()
    controls = {one["code"]: one for one in known["controls"]}
    assert controls["AU12L"]["name"] == "smile_left" and controls["AU12"]["region"]
    assert {"happy", "neutral"} <= {one["name"] for one in known["emotions"]}


def test_the_server_itself_loads_no_models():
    code = "import sys, auteur.service.app; sys.exit(bool({'torch', 'av', 'PIL'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
