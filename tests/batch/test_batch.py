"""`auteur generate --batch`: every job once, on every engine the same, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auteur.batch.jobs import _KEYS, BadLine, Job, read_jobs
from auteur.batch.results import RESULTS, Results
from auteur.batch.run import _Digests
from auteur.cli import main
from auteur.errors import InputError
from auteur.media import write_audio, write_image
from auteur.provenance import Mark, Verdict, verify
from auteur.signals import AUTrack, PoseTrack, Waveform

pytestmark = pytest.mark.slow

OUTPUT = PurePosixPath("a.mp4")
COMMAND = [sys.executable, "-m", "auteur.cli", "generate", "--preset", "warp"]
JOBS = [
    {"seed": 1, "au": {"smile": 0.5, "AU4": 0.2}, "output": "first/one.mp4"},
    {"seed": 2, "emotion": "sad", "intensity": 0.5, "blinks": False},
    {"seed": 3, "route": "landmark", "fps": "30000/1001", "mute": ["AU12"]},
    {"seed": 4, "head": 0, "gaze": False, "emotion_curve": "0s neutral, 0.3s happy:0.5"},
    {"seed": 5, "fps": 29.97},
    {"seed": 6, "au_scale": {"AU12": 2}, "emotion": "happy"},
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait, a picture without a face and 0.4 s of sound."""
    data = pytest.importorskip("skimage.data")
    folder = tmp_path_factory.mktemp("inputs")
    noise = np.random.default_rng(0).normal(0, 0.05, 6400).astype(np.float32)
    write_image(
        folder / "me.png", np.ascontiguousarray(data.astronaut()[0:256, 96:352]), mark=Mark(watermark=False)
    )
    write_image(
        folder / "cat.png", np.ascontiguousarray(data.chelsea()[:160, :160]), mark=Mark(watermark=False)
    )
    write_audio(folder / "talk.wav", Waveform(samples=noise, rate_hz=16000), mark=Mark(watermark=False))
    write_jobs(folder / "jobs.jsonl", JOBS)
    return folder


def write_jobs(path: Path, jobs: list[dict]) -> Path:
    lines = [{"portrait": "me.png", "speech": "talk.wav"} | job for job in jobs]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def videos(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.mp4")}


def states(folder: Path, state: str) -> list[int]:
    lines = map(json.loads, (folder / RESULTS).read_text(encoding="utf-8").splitlines())
    return [event["line"] for event in lines if event["state"] == state]


@pytest.fixture(scope="module")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run with two local workers makes of all jobs."""
    folder = tmp_path_factory.mktemp("made") / "videos"
    command = [*COMMAND, "--batch", str(inputs / "jobs.jsonl"), "-o", str(folder), "--workers", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["made"], report["skipped"], report["failed"]) == (6, 0, [])
    return folder


def test_every_line_has_its_marked_video(made: Path) -> None:
    assert sorted(videos(made)) == [*(f"{n:06d}.mp4" for n in range(2, 7)), "first/one.mp4"]
    assert all(verify(path).verdict is Verdict.INTACT for path in made.rglob("*.mp4"))
    assert sorted(states(made, "made")) == [1, 2, 3, 4, 5, 6]
    assert not list(made.rglob(".*"))


def test_a_line_is_what_generate_makes_of_the_same_options(made: Path, inputs: Path, tmp_path: Path) -> None:
    single = tmp_path / "one.mp4"
    names = [str(inputs / "me.png"), str(inputs / "talk.wav"), "-o", str(single)]
    assert main(["generate", "--preset", "warp", *names, "--seed", "1", "--au", "smile=0.5", "AU4=0.2"]) == 0
    assert single.read_bytes() == (made / "first" / "one.mp4").read_bytes()


def test_run_again_it_makes_nothing_again(made: Path, inputs: Path, capsys) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.mp4")}
    arguments = ["--batch", str(inputs / "jobs.jsonl"), "-o", str(made), "--workers", "2", "--json"]
    assert main(["generate", "--preset", "warp", *arguments]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["skipped"] == 6
    assert "6 of 6 videos are there already" in output.err
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*.mp4")} == before


def test_ray_makes_the_same(made: Path, inputs: Path, tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (extra scale)")
    arguments = ["--batch", str(inputs / "jobs.jsonl"), "-o", str(tmp_path), "--engine", "ray"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env["RAY_worker_niceness"] = "0"  # it is 15, which on a busy machine is for ever
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert videos(tmp_path) == videos(made)


def test_killed_and_run_again_it_goes_on(made: Path, inputs: Path, tmp_path: Path) -> None:
    arguments = ["--batch", str(inputs / "jobs.jsonl"), "-o", str(tmp_path), "--workers", "2", "--json"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 120
        while not (tmp_path / RESULTS).exists() or not states(tmp_path, "made"):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    recorded = set(states(tmp_path, "made"))
    assert 1 <= len(recorded) < 6
    assert len(videos(tmp_path)) - len(recorded) <= 2  # made and not noted: redone
    (tmp_path / ".0123456789ab.part.mp4").write_bytes(b"as a kill in the middle of writing leaves it")
    with (tmp_path / RESULTS).open("a", encoding="utf-8") as results:
        results.write('{"state": "made", "outp')
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["skipped"] == len(recorded)
    assert videos(tmp_path) == videos(made)
    assert sorted(states(tmp_path, "made")) == [1, 2, 3, 4, 5, 6]
    assert not list(tmp_path.rglob(".*"))


def test_bad_jobs_are_listed_and_do_not_stop_the_rest(inputs: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "torn.wav").write_bytes((inputs / "talk.wav").read_bytes()[:30])
    jobs = [{"portrait": "cat.png"}, {"speech": str(tmp_path / "torn.wav")}, {"seed": 9}]
    path = write_jobs(inputs / "some_bad.jsonl", jobs)
    arguments = ["--batch", str(path), "-o", str(tmp_path / "out"), "--workers", "1", "--json"]
    assert main(["generate", "--preset", "warp", *arguments]) == 4
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert [one["line"] for one in report["failed"]] == [1, 2]
    assert "no face" in report["failed"][0]["reason"] and "torn.wav" in report["failed"][1]["reason"]
    assert "line 1 (000001.mp4): no face" in output.err and "2 of 3 videos" in output.err
    assert list(videos(tmp_path / "out")) == ["000003.mp4"]


def test_what_is_there_is_kept_without_overwrite(inputs: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "000001.mp4").write_bytes(b"precious")
    path = write_jobs(inputs / "one.jsonl", [{"seed": 1}])
    arguments = ["generate", "--preset", "warp", "--batch", str(path), "-o", str(tmp_path), "--workers", "1"]
    assert main(arguments) == 3
    assert "line 1" in (error := capsys.readouterr().err) and "--overwrite" in error
    assert [one.name for one in tmp_path.iterdir()] == ["000001.mp4"]
    assert main([*arguments, "--overwrite"]) == 0
    first = (tmp_path / "000001.mp4").read_bytes()
    assert main([*arguments, "--seed", "7"]) == 0, "the line has a seed of its own"
    assert main([*arguments, "--emotion", "angry"]) == 3, "another job"
    assert (tmp_path / "000001.mp4").read_bytes() == first
    assert main([*arguments, "--emotion", "angry", "--overwrite"]) == 0
    assert (tmp_path / "000001.mp4").read_bytes() != first


def test_nothing_is_made_of_a_file_with_a_bad_line(inputs: Path, tmp_path: Path, capsys) -> None:
    path = write_jobs(inputs / "bad.jsonl", [{"seed": 1}, {"emotoin": "happy"}, {"output": "000001.mp4"}])
    assert main(["generate", "--preset", "warp", "--batch", str(path), "-o", str(tmp_path / "out")]) == 3
    error = capsys.readouterr().err
    assert "bad.jsonl line 2: unknown key 'emotoin'; did you mean 'emotion'?" in error
    assert "line 3: line 1 writes '000001.mp4' too" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"portrait": "absent.png"}, "absent.png"),
        ({"speech": None}, "'speech' is missing"),
        ({"track": "absent.csv"}, "absent.csv"),
        ({"portrait": 3}, "portrait is 3; it must be text"),
        ({"emotion": "hapy"}, "did you mean 'happy'"),
        ({"intensity": 2}, "between 0 and 1"),
        ({"intensity": "0.5"}, "must be a number"),
        ({"au": {"smil": 0.5}}, "smile"),
        ({"au": {"AU12": 3}}, "between 0 and 1"),
        ({"au": ["AU12=0.5"]}, "an object such as"),
        ({"au": {"AU12": True}}, "au AU12 is true"),
        ({"au_scale": {"AU12": 9}}, "between 0 and 4"),
        ({"mute": "AU4"}, "a list such as"),
        ({"mute": ["AU99"]}, "AU99"),
        ({"seed": 1.5}, "must be a whole number"),
        ({"seed": True}, "must be a whole number"),
        ({"lips": "mouth"}, "choose speech, track or both"),
        ({"lips": "track"}, "need a track"),
        ({"lips": 1}, "must be text"),
        ({"drive": "absent.mp4"}, "absent.mp4"),
        ({"drive": 1}, "must be text"),
        ({"head_track": 1}, "must be text"),
        ({"gaze_track": []}, "must be text"),
        ({"liveliness": 2.5}, "between 0 and 2"),
        ({"liveliness": "much"}, "must be a number"),
        ({"blinks": 0}, "must be true or false"),
        ({"fps": 0}, "between 1 and 120"),
        ({"fps": "fast"}, "30000/1001"),
        ({"route": "auhaed"}, "auto, landmark"),
        ({"emotion_curve": "0s hapy"}, "hapy"),
        ({"steps": 4}, "no effect with the preset"),
        ({"preset": "full"}, "--preset on the command line"),
        ({"output": "out.avi"}, "ends in .mp4, .mov, .webm, .gif"),
        ({"output": "../out.mp4"}, "inside the folder"),
        ({"output": "/out.mp4"}, "inside the folder"),
        ({"save_tracks": "x"}, "unknown key 'save_tracks'"),
    ],
)
def test_bad_lines_are_named(inputs: Path, job: dict, words: str) -> None:
    (bad,) = read_jobs(write_jobs(inputs / "line.jsonl", [job]), defaults={}, paints=False)
    assert isinstance(bad, BadLine) and bad.line == 1 and words in bad.reason
    assert len(bad.reason.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "no JSON object"),
        ("{", "no JSON: "),
        ('{"seed": NaN}', "NaN is no number"),
        ('{"seed": 1, "seed": 2}', "'seed' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 1_000_001 + "{}", "characters"),
    ],
)
def test_lines_that_are_no_objects(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(f"\n{text}\n", encoding="utf-8")
    (bad,) = read_jobs(path, defaults={}, paints=False)
    assert isinstance(bad, BadLine) and bad.line == 2 and words in bad.reason


def test_lines_name_sources_of_lips_head_and_gaze(inputs: Path) -> None:
    """What a named file holds is part of what a video depends on; where it lies is not."""
    units, head = inputs / "units.csv", inputs / "head.json"
    smile = np.full((5, 1), 0.5)
    AUTrack(values=smile, rate=Fraction(25), channels=("AU12L",), convention="facs").save(units)
    digests = []
    for turn in (0.0, 0.1):
        pose = np.full((5, 6), turn)
        PoseTrack(values=pose, rate=Fraction(25), convention="relative_canonical_mm").save(
            head, overwrite=True
        )
        job = {"speech": None, "track": units.name, "lips": "both", "head_track": head.name}
        job |= {"gaze_track": "none", "liveliness": 1.5}
        (made,) = read_jobs(write_jobs(inputs / "sources.jsonl", [job]), defaults={}, paints=False)
        assert isinstance(made, Job), made
        assert (made.requested.track, made.requested.head_track) == (units, head)
        assert (made.requested.lips, made.requested.gaze_track, made.settings.liveliness) == (
            "both",
            "none",
            1.5,
        )
        digests.append(_Digests("warp")(made))
    assert digests[0] != digests[1]


def test_lines_override_what_holds_for_all(inputs: Path) -> None:
    path = write_jobs(inputs / "two.jsonl", [{}, {"emotion": "sad", "fps": None, "au": {"AU4": 0.1}}])
    defaults = {"emotion": "happy", "fps": "30", "au": {"AU1": 0.5}, "seed": 3}
    first, second = read_jobs(path, defaults=defaults, paints=False)
    assert isinstance(first, Job) and isinstance(second, Job)
    assert (first.requested.emotion, first.settings.fps, first.settings.seed) == ("happy", Fraction(30), 3)
    assert (second.requested.emotion, second.settings.fps) == ("sad", Fraction(25))
    assert dict(second.requested.action_units) == {"AU4": 0.1}
    assert second.portrait == inputs / "me.png"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "lips",
    "liveliness",
    "drive",
    "head_track",
    "gaze_track",
    "emotion",
    "intensity",
    "au",
    "au_scale",
    "mute",
    "seed",
    "fps",
    "head",
    "output",
    "face",
    "steps",
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(job=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), JSON, max_size=4))
def test_any_line_is_a_job_or_is_refused_in_one_line(job: dict, tmp_path_factory) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("me.png", "talk.wav"):
        (folder / name).touch()
    (read,) = read_jobs(write_jobs(folder / "any.jsonl", [job]), defaults={}, paints=False)
    if isinstance(read, BadLine):
        assert read.reason and len(read.reason.splitlines()) == 1


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    with Results(tmp_path) as held:
        held.add("begun", OUTPUT, "ab", line=1)
    yield tmp_path / RESULTS


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with Results(tmp_path), pytest.raises(InputError, match="another run"), Results(tmp_path):
        pass
    with Results(tmp_path):
        pass


def test_a_damaged_record_is_named_and_a_torn_end_is_dropped(results: Path) -> None:
    whole = results.read_bytes()
    results.write_bytes(whole + b'{"state": "ma')
    with Results(results.parent) as held:
        assert held.is_ours(OUTPUT, "ab") and not held.is_ours(OUTPUT, "cd")
    assert results.read_bytes() == whole
    results.write_bytes(b"oops\n" + whole)
    with pytest.raises(InputError, match=r"line 1 of .* is damaged"), Results(results.parent):
        pass


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path, PurePosixPath\n"
        "from auteur.errors import InputError\n"
        "from auteur.batch.results import Results\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))\n"
        "with Results(Path(sys.argv[1])) as results:\n"
        "    for number in range(9): results.add('made', PurePosixPath(f'{number}.mp4'), 'ab')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert "InputError: cannot write" in done.stderr.splitlines()[-1]
    with Results(tmp_path) as results:
        (tmp_path / "0.mp4").touch()
        assert results.is_made(PurePosixPath("0.mp4"), "ab")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["me.png", "talk.wav", "--ray-address", "a"], 2, "--ray-address has no effect without --batch"),
        (["me.png"], 2, "SPEECH missing"),
        ([], 2, "PORTRAIT and SPEECH missing"),
        (["--batch", "jobs.jsonl"], 2, "-o FOLDER"),
        (["--batch", "absent.jsonl", "-o", "out"], 3, "absent.jsonl"),
        (["me.png", "--batch", "jobs.jsonl", "-o", "out"], 2, "PORTRAIT has no effect"),
        (["--batch", "jobs.jsonl", "-o", "out", "--plot", "a.png"], 2, "--plot has no effect"),
        (["--batch", "jobs.jsonl", "-o", "out", "--engine", "slurm"], 2, "local, ray"),
        (["--batch", "jobs.jsonl", "-o", "out", "--workers", "0"], 2, "workers is 0"),
        (["--batch", "jobs.jsonl", "-o", "out", "--preset", "enormous"], 2, "compact"),
        (["--batch", "jobs.jsonl", "-o", "out", "--au", "smil=1"], 3, "smile"),
        (["--batch", "empty.jsonl", "-o", "out"], 3, "hold no line"),
        (["--batch", "latin.jsonl", "-o", "out"], 3, "UTF-8"),
        (["--batch", "jobs.jsonl", "-o", "jobs.jsonl"], 2, "also the input"),
    ],
)
def test_bad_arguments(inputs, tmp_path, monkeypatch, capsys, arguments, code, message) -> None:
    monkeypatch.chdir(inputs)
    (inputs / "empty.jsonl").write_text("\n \n", encoding="utf-8")
    (inputs / "latin.jsonl").write_bytes(b'{"portrait": "\xe9.png"}')
    assert main(["generate", "--preset", "warp", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not (inputs / "out").exists()


def test_a_killed_run_gives_its_folder_back(tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "from auteur.batch.results import Results\n"
        "results = Results(pathlib.Path(sys.argv[1]))\n"
        "results.__enter__()\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another run is writing"), Results(tmp_path):
            pass
        other.kill()
    with Results(tmp_path) as results:
        results.add("begun", PurePosixPath("a.mp4"), "job")
    assert {path.name for path in tmp_path.iterdir()} == {"results.jsonl", "results.lock"}


def test_a_folder_in_which_nothing_was_begun_goes(tmp_path):
    with Results(tmp_path / "made"):
        assert (tmp_path / "made").is_dir()
    assert not list(tmp_path.iterdir())


HOSTILE_VALUES = [
    *("9" * 5000, "1e400", "1e99999999", "-" + "9" * 400, "NaN", "[[[[" * 10_000, '"\\ud800"', '"\\u0000"'),
    *(
        '"' + "n" * 300 + '"',
        '"' + "n/" * 3000 + '"',
        "{}",
        "[]",
        "true",
        '""',
        '"1e99999999"',
        '"٢٥"',
        "10e400",
    ),
]


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=range(len(HOSTILE_VALUES)))
def test_every_key_with_any_value_is_a_job_or_a_bad_line_with_its_number(inputs, tmp_path, value) -> None:
    """The line after a hostile one is read: nothing but bad lines comes of any value of any key."""
    path = inputs / f"hostile-{tmp_path.name}.jsonl"
    whole = '{"portrait": "me.png", "speech": "talk.wav"}'
    files = {"portrait": '"me.png"', "speech": '"talk.wav"'}
    texts = []
    for key in _KEYS:
        pairs = ", ".join(f'"{name}": {text}' for name, text in (files | {key: value}).items())
        texts += [f"{{{pairs}}}", whole]
    path.write_text("\n".join(texts), encoding="utf-8")
    found = list(read_jobs(path, defaults={}, paints=True))
    path.unlink()
    assert [one.line for one in found] == list(range(1, len(texts) + 1))
    assert all(isinstance(one, Job) for one in found[1::2])
    for one in found:
        if isinstance(one, BadLine):
            assert "\n" not in one.reason
            one.reason.encode()


@pytest.mark.parametrize(
    "output",
    [
        "results.jsonl/x.mp4",
        ".0123456789ab.part.mp4",
        ".0123456789ab.part/x.mp4",
        "n" * 300 + ".mp4",
        "\ud800.mp4",
    ],
)
def test_names_that_a_batch_cannot_give_are_bad_lines(inputs, tmp_path, capsys, output) -> None:
    write_jobs(inputs / "names.jsonl", [{"output": output}])
    out = tmp_path / "out"
    assert main(["generate", "--preset", "warp", "--batch", str(inputs / "names.jsonl"), "-o", str(out)]) == 3
    assert "line 1" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("kind", ["link out", "file in the way"])
def test_outputs_stay_in_the_folder_of_the_run(inputs, tmp_path, capsys, kind) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir(), elsewhere.mkdir()
    (out / "sub").symlink_to(elsewhere) if kind == "link out" else (out / "sub").write_text("mine")
    write_jobs(inputs / "sub.jsonl", [{"output": "sub/x.mp4"}])
    assert main(["generate", "--preset", "warp", "--batch", str(inputs / "sub.jsonl"), "-o", str(out)]) == 3
    assert "line 1" in capsys.readouterr().err
    assert not list(elsewhere.iterdir()) and [one.name for one in out.iterdir()] == ["sub"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_bad_jobs_file_leaves_folders_as_they_were(inputs, tmp_path, exists) -> None:
    out = tmp_path / "above" / "out"
    if exists:
        out.mkdir(parents=True)
    write_jobs(inputs / "bad.jsonl", [{"seed": "x"}])
    assert main(["generate", "--preset", "warp", "--batch", str(inputs / "bad.jsonl"), "-o", str(out)]) == 3
    assert out.exists() is exists and (tmp_path / "above").exists() is exists


def test_a_full_disk_ends_the_run_and_fails_no_job(inputs, tmp_path) -> None:
    """The limit on the size of a file stands for a full disk: every job would meet it."""
    arguments = ["--batch", str(inputs / "jobs.jsonl"), "-o", str(tmp_path / "out"), "--workers", "1"]
    program = (
        "import resource, signal, sys; from auteur.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "generate", "--preset", "warp", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "make room and run the same command again" in done.stderr
    assert not states(tmp_path / "out", "failed") and not videos(tmp_path / "out")
