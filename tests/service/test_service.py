"""Calls with real models on a small portrait and half a second of made-up speech."""

import io
import json
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from auteur.expression.curve import monotone_cubic
from auteur.provenance import verify
from auteur.provenance.consent import NOTE
from auteur.signals import AUTrack, PoseTrack
from service.conftest import LIMITS, client_of, code_of, ended, upload, wave_bytes

pytestmark = pytest.mark.slow

CURVE = [[0, 0.1], [0.2, 0.9], [0.48, 0.3]]


def service_of(client):
    return client.app._app.state.service


def events_of(client, identity, **headers):
    """[(event, id, data)] until the stream ends."""
    with client.stream("GET", f"/v1/videos/{identity}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = answer.read().decode().replace("\r\n", "\n").split("\n\n")
    found = []
    for block in blocks:
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        if lines:
            found.append((lines["event"], int(lines["id"]), json.loads(lines["data"])))
    return found


def test_a_video_from_upload_to_download(client, pair, folder):
    body = {
        **pair,
        "curves": {"AU12": CURVE, "AU4L": [[0, 0.4]]},
        "head_curves": {"yaw": [[0, 0], [0.4, 8]]},
        "seed": 3,
        "consent": "the model, for this test",
    }
    answer = client.post("/v1/videos", json=body, headers={"idempotency-key": "once"})
    assert answer.status_code == 202
    job = answer.json()
    again = client.post("/v1/videos", json=body, headers={"idempotency-key": "once"})
    assert again.json()["id"] == job["id"]

    events = events_of(client, job["id"])
    states = [event for event, _, _ in events]
    assert states[-1] == "done" and set(states) <= {"queued", "running", "done"}
    assert [number for _, number, _ in events] == sorted({number for _, number, _ in events})
    last = events[-1][2]
    assert last["done"] == last["total"] == 12 and "request" not in last
    assert [one[0] for one in events_of(client, job["id"], **{"last-event-id": "1"})] == ["done"]
    assert events_of(client, job["id"], **{"last-event-id": str(events[-1][1])}) == []

    shown = client.get(f"/v1/videos/{job['id']}").json()
    assert shown["request"] == body and shown["result"]["seed"] == 3 and shown["result"]["frames"] == 12
    assert "AI-generated" in shown["result"]["mark"]

    video = client.get(f"/v1/videos/{job['id']}/content")
    assert video.headers["content-type"] == "video/mp4" and len(video.content) == shown["result"]["bytes"]
    part = client.get(f"/v1/videos/{job['id']}/content", headers={"range": "bytes=0-99"})
    assert part.status_code == 206 and part.content == video.content[:100]
    saved = client.get(f"/v1/videos/{job['id']}/content?download=1")
    assert saved.headers["content-disposition"].startswith("attachment")
    path = folder / "jobs" / job["id"] / "video.mp4"
    report = verify(path)
    assert report.verdict == "intact"
    assert report.sidecar is not None and report.sidecar.mark.consent == body["consent"]
    assert NOTE not in shown["notes"]

    tracks = client.get(f"/v1/videos/{job['id']}/tracks").json()
    requested = AUTrack.from_document(tracks["requested"], source="requested")
    keys = np.array(CURVE)
    drawn = monotone_cubic(keys[:, 0], keys[:, 1:], requested.times_sec)[:, 0]
    assert np.abs(requested.channel("AU12L") - drawn).max() < 1e-6
    assert np.abs(requested.channel("AU12R") - drawn).max() < 1e-6
    assert requested.channel("AU4L").max() == pytest.approx(0.4) and not requested.channel("AU4R").any()
    rendered = AUTrack.from_document(tracks["rendered"], source="rendered")
    assert rendered.frames == 12
    head = PoseTrack.from_document(tracks["head"], source="head")
    assert np.degrees(head.channel("yaw")[-1]) == pytest.approx(8, abs=1)

    assert client.delete(f"/v1/videos/{job['id']}").status_code == 204
    assert code_of(client.get(f"/v1/videos/{job['id']}")) == (404, "not_found")
    assert not (folder / "jobs" / job["id"]).exists()


def test_a_video_from_parts(client, portrait, talk):
    parts = {"portrait": ("me.png", portrait), "speech": ("talk.wav", talk)}
    answer = client.post("/v1/videos", files=parts, data={"request": '{"emotion": "happy", "seconds": 0.2}'})
    assert answer.status_code == 202, answer.text
    assert ended(client, answer.json()["id"])["result"]["frames"] == 5
    wrong = client.post("/v1/videos", files={**parts, "other": ("a", b"a")}, data={"request": "{}"})
    assert code_of(wrong) == (400, "bad_request")


def test_previews_are_quick_after_the_first_and_exact_after_a_full_one(client, pair):
    def look(quality, value, **more):
        body = {**pair, "curves": {"AU12": [[0, value]]}, "time_sec": 0.2, "quality": quality, **more}
        return client.post("/v1/preview", json=body)

    first = look("small", 0.1)
    assert first.headers["content-type"] == "image/jpeg" and first.headers["auteur-draft"] == "true"
    picture = Image.open(io.BytesIO(first.content))
    assert max(picture.size) <= 257
    points = look("landmarks", 0.9).json()
    assert len(points["landmarks"]) == 478 and points["frame"] == 5 and points["image_size_px"] == [257, 257]
    calm = np.array(look("landmarks", 0.0).json()["landmarks"])
    assert np.linalg.norm(np.array(points["landmarks"]) - calm, axis=1)[[61, 291]].min() > 1
    assert float(look("small", 0.5).headers["auteur-seconds"]) < 1.0
    full = look("full", 0.6)
    assert Image.open(io.BytesIO(full.content)).size == (257, 257)
    assert look("small", 0.6).headers["auteur-draft"] == "false"
    assert code_of(look("small", 0.6, time_sec=99)) == (422, "bad_value")
    assert code_of(look("huge", 0.6)) == (422, "bad_value")
    assert code_of(look("small", 3)) == (422, "bad_value")


def test_listening_tracking_and_converting(client, pair):
    content = client.post("/v1/listen", json={"speech": pair["speech"]}).json()
    assert content["duration_sec"] == 0.5 and len(content["envelope"]["peak"]) == 50
    assert sum(content["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert AUTrack.from_document(content["action_units"], source="heard").convention == "facs"
    seen = client.post("/v1/track", json={"source": pair["portrait"]}).json()
    units = AUTrack.from_document(seen["action_units"], source="seen")
    assert units.frames == 1 and seen["head"]["kind"] == "pose"
    table = client.post("/v1/convert", json={"track": seen["action_units"], "to": "openface"})
    assert table.status_code == 200 and "AU12_r" in table.text
    known = upload(client, table.content, "me.csv")
    assert known["kind"] == "table" and known["frames"] == 1
    again = client.post("/v1/track", json={"source": known["id"]}).json()
    assert again["frames"] == 1
    drawn = {"track": {"curves": {"AU12": CURVE}, "duration_sec": 1}, "to": "arkit"}
    shapes = client.post("/v1/convert", json=drawn)
    assert "mouthSmileLeft" in shapes.text and json.loads(shapes.headers["auteur-notes"])
    assert code_of(client.post("/v1/convert", json={**drawn, "to": "fbx"})) == (422, "bad_value")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 415, "bad_type"),
        (b"<!doctype html><script>alert(1)</script>", 415, "bad_type"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", 422, "bad_input"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", 415, "bad_type"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, 422, "bad_input"),
        (b"RIFF\x24\0\0\0WAVEfmt " + b"\xff" * 50, 422, "bad_input"),
        (b'{"format": "auteur-track"}', 422, "bad_input"),
        (b"frame,timestamp,AU01_r\n1,0,abc\n", 422, "bad_input"),
        (b"PK\x03\x04" + b"\0" * 100, 415, "bad_type"),
        (b"\x80\x04\x95\0\0\0\0\0\0\0\0cposix\nsystem\n", 415, "bad_type"),
    ],
)
def test_uploads_are_what_their_bytes_are(client, content, status, code):
    before = set(service_of(client).store.uploads.ids())
    answer = client.post("/v1/uploads", files={"file": ("portrait.png", content, "image/png")})
    assert code_of(answer) == (status, code), answer.text
    assert str(service_of(client).store.folder) not in answer.text
    assert set(service_of(client).store.uploads.ids()) == before


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"portrait": None}, 422, "portrait"),
        ({"portrait": "0" * 32}, 404, "portrait"),
        ({"speech": None}, 422, None),
        ({"colour": "red"}, 422, None),
        ({"intensity": 3, "emotion": "happy"}, 422, None),
        ({"emotion": "hapy"}, 422, None),
        ({"au": {"AU99": 0.5}}, 422, None),
        ({"au": {"AU12": "much"}}, 422, None),
        ({"curves": {"AU12": [[1, 0], [0, 1]]}}, 422, None),
        ({"curves": {"AU12": [[0, 2]]}}, 422, None),
        ({"curves": {"AU12": []}}, 422, None),
        ({"curves": [1]}, 422, None),
        ({"head_curves": {"nod": [[0, 1]]}}, 422, None),
        ({"head_curves": {"yaw": [[0, 400]]}}, 422, None),
        ({"track": {"format": "auteur-track"}}, 422, None),
        ({"fps": "1e400"}, 422, None),
        ({"seed": 10**40}, 422, None),
        ({"size": "7x7"}, 422, None),
        ({"preset": "/etc"}, 422, "preset"),
        ({"format": "exe"}, 422, "format"),
        ({"background": "none"}, 422, None),
        ({"consent": "x" * 501}, 422, "consent"),
        ({"watermark": False}, 422, "watermark"),
        ({"output": "../x.mp4", "emotion": "hapy"}, 422, None),
    ],
)
def test_bad_values_are_refused_before_anything_is_queued(client, pair, changes, status, field):
    before = dict(service_of(client).jobs.counts)
    answer = client.post("/v1/videos", json={**pair, **changes})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert len(error["message"].splitlines()) == 1 and "internal" not in error["message"]
    assert field is None or error["field"] == field
    assert service_of(client).jobs.counts == before


def test_text_is_spoken_by_a_voice_of_the_list_alone(client, monkeypatch):
    voices = client.get("/v1").json()["voices"]
    for voice in ("/etc/voice.onnx", "../x.onnx", "nobody"):
        code = (422, "bad_value") if voices else (422, "no_voice")
        assert code_of(client.post("/v1/say", json={"text": "hello", "voice": voice})) == code
    assert code_of(client.post("/v1/say", json={"text": ""})) == (422, "bad_value")
    assert code_of(client.post("/v1/say", json={"text": "x" * 2001})) == (422, "bad_value")
    answer = client.post("/v1/say", json={"text": "Hello there."})
    if not voices:
        assert code_of(answer) == (422, "no_voice")
        return
    spoken = answer.json()
    assert spoken["kind"] == "sound" and [one["word"] for one in spoken["words"]] == ["Hello", "there."]
    assert client.post("/v1/listen", json={"speech": spoken["id"]}).json()["words"] == spoken["words"]


def test_an_upload_of_the_wrong_kind_and_speech_that_is_too_long(client, pair):
    swapped = {"portrait": pair["speech"], "speech": pair["portrait"]}
    assert code_of(client.post("/v1/videos", json=swapped)) == (415, "bad_type")
    long = upload(client, wave_bytes(LIMITS.speech_sec + 1))["id"]
    assert code_of(client.post("/v1/videos", json={**pair, "speech": long})) == (422, "bad_value")


def test_a_portrait_without_a_face_fails_its_job_alone(client, pair):
    wall = io.BytesIO()
    Image.new("RGB", (128, 128), (90, 120, 150)).save(wall, "PNG")
    other = upload(client, wall.getvalue(), "my wall.png")["id"]
    bad = client.post("/v1/videos", json={**pair, "portrait": other}).json()["id"]
    good = client.post("/v1/videos", json={**pair, "emotion": "sad", "seconds": 0.1}).json()["id"]
    job = ended(client, bad)
    assert job["status"] == "failed" and job["error"]["code"] == "bad_input"
    assert "my wall.png" in job["error"]["message"] and "uploads" not in job["error"]["message"]
    assert code_of(client.get(f"/v1/videos/{bad}/content")) == (409, "not_done")
    assert ended(client, good)["status"] == "done"


def test_consent_is_demanded_where_it_is_not_stated(client, pair):
    assert client.get("/v1").json()["consent"] == NOTE
    job = client.post("/v1/videos", json=pair).json()
    assert job["notes"] == [NOTE]
    client.delete(f"/v1/videos/{job['id']}")
    assert ended(client, job["id"])["status"] == "cancelled"


def test_cancelling_leaves_no_file(client, pair, folder):
    running = client.post("/v1/videos", json={**pair, "emotion": "fear", "fps": 120}).json()["id"]
    waiting = client.post("/v1/videos", json={**pair, "emotion": "fear"}).json()["id"]
    assert client.delete(f"/v1/videos/{waiting}").json()["status"] == "cancelled"
    assert code_of(client.delete(f"/v1/uploads/{pair['portrait']}")) == (409, "in_use")
    assert client.delete(f"/v1/videos/{running}").status_code == 200
    assert ended(client, running)["status"] == "cancelled"
    assert [path.name for path in (folder / "jobs" / running).iterdir()] == ["record.json"]


def test_killed_processes_cost_one_job_each_and_nothing_stays(client, pair, folder):
    """A few jobs in the suite; set the variables to run fifty with five kills."""
    count = int(os.environ.get("AUTEUR_SERVICE_JOBS", "6"))
    kills = int(os.environ.get("AUTEUR_SERVICE_KILLS", "2"))
    render = service_of(client).processes["render-1"]
    body = {**pair, "emotion": "happy", "seconds": 0.2}
    before = {path for path in folder.rglob("*") if path.is_file()}
    jobs = [client.post("/v1/videos", json={**body, "seed": number}).json()["id"] for number in range(count)]
    killed = []
    for place in np.linspace(0, count - 1, kills + 2, dtype=int)[1:-1]:
        while (job := client.get(f"/v1/videos/{jobs[place]}").json())["status"] == "queued":
            time.sleep(0.02)
        if job["status"] == "running" and render.pid is not None:
            os.kill(render.pid, signal.SIGKILL)
            killed.append(jobs[place])
    states = {identity: ended(client, identity, 600) for identity in jobs}
    failed = {identity for identity, job in states.items() if job["status"] == "failed"}
    assert failed <= set(killed) and len(killed) == kills
    assert all(states[identity]["error"]["code"] == "worker_died" for identity in failed)
    assert sum(job["status"] == "done" for job in states.values()) >= count - kills
    for identity in jobs:
        assert client.delete(f"/v1/videos/{identity}").status_code == 204
    assert {path for path in folder.rglob("*") if path.is_file()} == before
    assert client.get("/v1").json()["jobs"]["queued"] == 0


def test_what_the_queue_and_the_disk_hold_is_limited(tmp_path, portrait, talk):
    small = type(LIMITS)(**{**LIMITS.to_json(), "queued_jobs": 1, "disk_bytes": 200_000})
    with client_of(tmp_path, limits=small) as client:
        body = {"portrait": upload(client, portrait)["id"], "speech": upload(client, talk)["id"]}
        service = service_of(client)
        service.jobs.stop()  # so that jobs wait
        first = client.post("/v1/videos", json=body)
        assert first.status_code == 202 and first.json()["position"] == 0
        full = client.post("/v1/videos", json=body)
        assert code_of(full) == (429, "queue_full") and int(full.headers["retry-after"]) > 0
        (tmp_path / "jobs" / first.json()["id"] / "video.mp4").write_bytes(b"x" * 200_000)
        assert code_of(client.post("/v1/uploads", files={"file": ("a", portrait)})) == (507, "disk_full")


def test_a_restart_keeps_what_is_done_and_makes_what_waits(tmp_path, portrait, talk):
    with client_of(tmp_path) as client:
        body = {
            "portrait": upload(client, portrait)["id"],
            "speech": upload(client, talk)["id"],
            "seconds": 0.1,
        }
        done = client.post("/v1/videos", json={**body, "emotion": "sad"}).json()["id"]
        ended(client, done)
        service_of(client).jobs.stop()
        waiting = client.post("/v1/videos", json={**body, "emotion": "happy"}).json()["id"]
    record = tmp_path / "jobs" / ("f" * 32)
    record.mkdir()
    (record / "record.json").write_text("{", encoding="utf-8")
    with client_of(tmp_path) as client:
        assert client.get(f"/v1/videos/{done}").json()["status"] == "done"
        assert client.get(f"/v1/videos/{done}/content").status_code == 200
        assert [one[0] for one in events_of(client, done)] == ["done"]
        assert ended(client, waiting)["status"] == "done"
        assert not record.exists()
        service = service_of(client)
        service.jobs.get(done).ended_sec -= 2 * LIMITS.keep_sec
        service.jobs.remove_expired()
        assert code_of(client.get(f"/v1/videos/{done}")) == (404, "not_found")
