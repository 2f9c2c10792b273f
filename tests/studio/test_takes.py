"""Rendering, comparing, saving and what goes wrong, in a real browser and with the real service."""

import json
from pathlib import Path

import numpy as np
import pytest

from auteur.formats import read_au_track, read_recorded
from auteur.media import VideoReader
from auteur.signals import measured
from studio.browser import Lane, choose, drop, open_group, saved, tone, until

pytestmark = pytest.mark.slow

DONE = "[data-status='done']"


def render(page) -> None:
    page.click("#render")
    page.wait_for_selector("[data-take]")


def test_a_take_is_rendered_shown_and_downloaded(studio, tmp_path: Path):
    open_group(studio, "mouth")
    Lane(studio, "unit:AU12").add(0.52, 0.9)
    render(studio)
    assert studio.locator("progress").count() == 1
    studio.wait_for_selector(DONE)
    until(lambda: studio.evaluate("document.querySelector('.video.a').readyState") >= 2)
    assert "AI-generated" in studio.inner_text("#caption")
    studio.click("#play")
    until(lambda: studio.evaluate("document.querySelector('.video.a').currentTime") > 0.3)
    with studio.expect_download() as download:
        studio.click("text=Download")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".mp4"
    with VideoReader(path) as video:
        assert sum(1 for _ in video) == 50
    # What was rendered is drawn as a dashed line over what was requested.
    canvas = studio.locator("[data-lane='unit:AU12'] canvas")
    with_take = canvas.evaluate("(canvas) => canvas.toDataURL()")
    studio.click("#live")
    until(lambda: canvas.evaluate("(canvas) => canvas.toDataURL()") != with_take)


def test_two_takes_stand_side_by_side_under_a_wipe(studio):
    render(studio)
    studio.wait_for_selector(DONE)
    Lane(studio, "emotion:happy").add(0.48, 0.8)
    render(studio)
    until(lambda: studio.locator(DONE).count() == 2)
    studio.locator(DONE).nth(1).get_by_role("button", name="Show").click()
    studio.locator(DONE).nth(0).get_by_role("button", name="Compare").click()
    assert studio.inner_text(".name-a") == "Take 1"
    assert studio.inner_text(".name-b") == "Take 2"
    studio.fill("#wipe", "20")
    clip = studio.locator(".pane.b").evaluate("(pane) => getComputedStyle(pane).clipPath")
    assert "20%" in clip
    until(lambda: studio.evaluate("document.querySelector('.video.b').readyState") >= 2)
    studio.click("#play")
    until(lambda: studio.evaluate("document.querySelector('.video.a').currentTime") > 0.5)
    studio.click("#play")
    times = studio.evaluate("[...document.querySelectorAll('video')].map((video) => video.currentTime)")
    assert times[0] == pytest.approx(times[1], abs=0.3)


def test_a_running_job_is_cancelled(visit, portrait, inputs):
    page = visit()
    choose(page, "#drop-portrait", portrait)
    choose(page, "#drop-speech", tone(40, inputs / "long.wav"))
    page.wait_for_selector("#render:not([disabled])")
    page.wait_for_selector("img.live[data-quality]:visible")
    render(page)
    page.wait_for_selector("[data-status='running']")
    page.click("text=Cancel")
    page.wait_for_selector("[data-status='cancelled']")
    assert page.locator("text=Download").count() == 0
    assert page.locator("progress").count() == 0


def test_a_reload_while_rendering_loses_nothing(studio):
    Lane(studio, "emotion:sad").add(0.6, 0.7)
    keys = Lane(studio, "emotion:sad").keys
    render(studio)
    saved(studio)
    studio.reload()
    studio.wait_for_selector("[data-take]")
    assert Lane(studio, "emotion:sad").keys == keys
    assert "portrait.png" in studio.inner_text("#drop-portrait")
    studio.wait_for_selector(DONE)


def test_two_tabs_do_not_disturb_each_other(visit, portrait, speech):
    one = visit()
    two = one.context.new_page()
    two.goto(one.url)
    for page in (one, two):
        choose(page, "#drop-portrait", portrait)
        choose(page, "#drop-speech", speech)
    for page in (one, two):
        page.wait_for_selector("img.live[data-quality]:visible")
    Lane(one, "emotion:happy").add(0.4, 0.5)
    Lane(two, "emotion:angry").add(0.8, 0.5)
    assert [v for _, v in Lane(one, "emotion:angry").keys] == [0]
    assert [v for _, v in Lane(two, "emotion:happy").keys] == [0]
    # A third tab may continue with the last project.
    three = one.context.new_page()
    three.goto(one.url)
    three.click(".notice button:has-text('Open')")
    until(lambda: Lane(three, "emotion:angry").keys)


def test_what_is_drawn_without_a_connection_is_kept(studio):
    studio.context.set_offline(True)
    lane = Lane(studio, "emotion:happy")
    lane.add(0.4, 0.5)
    studio.wait_for_selector("#connection:visible")
    lane.add(1.2, 0.7)
    assert len(lane.keys) == 2
    studio.context.set_offline(False)
    studio.wait_for_selector("#connection", state="hidden")
    with studio.expect_request("**/v1/preview"):
        lane.add(1.6, 0.2)


def test_a_project_file_holds_everything(studio, visit, tmp_path: Path):
    studio.fill("#project-name", "Scene 4")
    studio.keyboard.press("Tab")
    Lane(studio, "emotion:contempt").add(0.6, 0.6)
    keys = Lane(studio, "emotion:contempt").keys
    with studio.expect_download() as download:
        studio.click("#save")
    path = tmp_path / download.value.suggested_filename
    assert path.name == "Scene 4.auteur.json"
    download.value.save_as(path)
    # The uploads are gone from the service, as after a day: the file brings them along.
    project = json.loads(path.read_text(encoding="utf-8"))
    for media in ("portrait", "speech"):
        project[media]["id"] = "0" * 32
    path.write_text(json.dumps(project), encoding="utf-8")
    other = visit()
    drop(other, "main", path, "application/json")
    other.wait_for_selector("img.live[data-quality]:visible")
    assert Lane(other, "emotion:contempt").keys == keys
    assert other.input_value("#project-name") == "Scene 4"


def test_tables_come_in_and_go_out(studio, tmp_path: Path):
    open_group(studio, "head")
    Lane(studio, "head:yaw").add(0.48, 0.8)
    turn_deg = Lane(studio, "head:yaw").keys[0][1]
    table = tmp_path / "track.csv"
    rows = "".join(f"{i / 25:.6f},{min(1, i / 25):.3f},{0.4 if i > 20 else 0}\n" for i in range(50))
    table.write_text(
        f"# auteur-au 1 convention=facs rate=25 start_sec=0\ntime_sec,AU17,AU26\n{rows}", encoding="utf-8"
    )
    choose(studio, "#drop-actor", table)
    studio.wait_for_selector("[data-lane='unit:AU17']")
    assert Lane(studio, "unit:AU17").keys[-1][1] == pytest.approx(1, abs=0.05)

    def export(kind: str) -> Path:
        studio.click("#export")
        with studio.expect_download() as download:
            studio.click(f"text={kind}")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    track = measured(read_au_track(export("Auteur table (CSV)")))
    assert track.channel("AU17")[25] == pytest.approx(1, abs=0.06)
    head = read_recorded(export("Live Link Face (CSV)")).head
    assert np.degrees(head.channel("yaw")[25]) == pytest.approx(turn_deg, abs=0.1)


def test_an_actor_becomes_lanes(studio, actor):
    drop(studio, "#drop-actor", actor, "video/mp4")
    studio.wait_for_selector(".notice:has-text('film.mp4')")
    assert any(lane.startswith(("head:", "unit:")) for lane in saved(studio)["score"]["lanes"])


def test_the_microphone_records_a_speech(visit, portrait):
    page = visit(permissions=["microphone"])
    choose(page, "#drop-portrait", portrait)
    page.click("#record")
    page.wait_for_selector("#record.recording")
    page.wait_for_timeout(2200)
    page.click("#record")
    page.wait_for_selector("#drop-speech:has-text('recording.webm')")
    page.wait_for_selector("img.live[data-quality]:visible")


def test_ten_minutes_of_speech_can_be_edited(visit, portrait, inputs):
    page = visit()
    choose(page, "#drop-portrait", portrait)
    choose(page, "#drop-speech", tone(600, inputs / "ten_minutes.wav"))
    page.wait_for_selector("#drop-speech:has-text('10:00')")
    page.wait_for_selector(".wave > div")
    lane = Lane(page, "emotion:happy", seconds=600)
    lane.add(420, 0.8)
    assert lane.keys[0][0] == pytest.approx(420, abs=1)
    x, y = lane.place(420, 0.5)
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    for _ in range(8):
        page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_timeout(300)
    assert page.locator(".scrollbar").evaluate("(bar) => bar.scrollWidth > 20 * bar.clientWidth")
    frame_ms = page.evaluate(
        """async () => {
            const bar = document.querySelector(".scrollbar");
            const times = [];
            for (let i = 0; i < 20; i++) {
                const start = performance.now();
                bar.scrollLeft += 200;
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                times.push(performance.now() - start);
            }
            return times.sort((a, b) => a - b)[10];
        }"""
    )
    assert frame_ms < 400


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_texts_stand_out_and_a_telephone_shows_everything(visit, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    assert page.locator(".screen").is_visible()
    contrasts = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const hex = style.getPropertyValue(name).trim().slice(1);
                const parts = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
                const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => {
                const [dark, bright] = [light(a), light(b)].sort((x, y) => x - y);
                return (bright + 0.05) / (dark + 0.05);
            };
            const found = { accent: contrast("--on-accent", "--accent") };
            for (const text of ["--text", "--dim", "--error"])
                for (const ground of ["--page", "--surface", "--raised"])
                    found[text + ground] = contrast(text, ground);
            return found;
        }"""
    )
    assert all(value >= 4.5 for value in contrasts.values()), contrasts


def test_consent_is_demanded_and_sent(studio):
    studio.fill("#consent", "Jane Doe, release of 2 May")
    studio.press("#consent", "Tab")
    assert saved(studio)["settings"]["consent"] == "Jane Doe, release of 2 May"
    with studio.expect_request("**/v1/videos") as sent:
        studio.click("#render")
    assert sent.value.post_data_json["consent"] == "Jane Doe, release of 2 May"
