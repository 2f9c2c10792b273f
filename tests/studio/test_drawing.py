"""Gestures on the lanes, in a real browser and with the real service."""

import logging
from pathlib import Path

import numpy as np
import pytest

from auteur.expression.unit_curves import curve_at
from studio.browser import Lane, choose, drop, durations_ms, open_group, preview_of, saved, until

pytestmark = pytest.mark.slow

LOG = logging.getLogger("studio")


def test_dropped_files_become_portrait_speech_and_a_first_picture(visit, portrait, speech):
    page = visit()
    drop(page, "#drop-portrait", portrait, "image/png")
    drop(page, "main", speech, "audio/wav")
    page.wait_for_selector("img.live[data-quality]:visible")
    assert "portrait.png" in page.inner_text("#drop-portrait")
    assert "0:02.0" in page.inner_text("#drop-speech")
    page.wait_for_selector("#draft:not([disabled])")


def test_keys_are_added_dragged_and_taken_back_in_one_step(studio):
    lane = Lane(studio, "emotion:happy")
    lane.add(0.2, 0.1)
    lane.add(1.0, 0.5)
    lane.add(1.8, 0.1)
    before = lane.keys
    assert [round(t, 1) for t, _ in before] == [0.2, 1.0, 1.8]
    lane.drag((before[1][0], before[1][1] / 1.2), (1.2, 0.7), (1.4, 0.9))
    dragged = lane.keys
    assert dragged[1][0] == pytest.approx(1.4, abs=0.05)
    assert dragged[1][1] == pytest.approx(0.9 * 1.2, abs=0.1)
    assert dragged[::2] == before[::2]
    studio.keyboard.press("Control+z")
    assert lane.keys == before
    studio.keyboard.press("Control+Shift+z")
    assert lane.keys == dragged
    studio.click("#undo")
    studio.click("#undo")
    assert len(lane.keys) == 2


def test_the_face_follows_while_a_key_is_dragged(studio):
    open_group(studio, "mouth")
    lane = Lane(studio, "unit:AU12")
    lane.add(0.0, 0.0)
    until(lambda: len(durations_ms(studio)) > 1)
    studio.wait_for_timeout(1500)
    seen, pictures = len(durations_ms(studio)), set()
    studio.mouse.move(*lane.place(0.0, 0.0))
    studio.mouse.down()
    for step in range(12):
        studio.mouse.move(*lane.place(0.0, (step + 1) / 12))
        studio.wait_for_timeout(120)
        pictures.add(studio.get_attribute("img.live", "src"))
    studio.mouse.up()
    assert len(durations_ms(studio)) >= seen + 2
    assert len(pictures) >= 2
    until(lambda: studio.get_attribute("img.live", "data-quality") == "full")
    assert "as rendered" in studio.inner_text("#caption")


def test_what_is_sent_is_what_is_drawn(studio):
    open_group(studio, "brow")
    lane = Lane(studio, "unit:AU4")
    lane.add(0.3, 0.1)
    lane.add(1.1, 0.9)

    def has_all(request) -> bool:
        return len(preview_of(request).get("curves", {}).get("AU4", [])) == 3

    with studio.expect_request(has_all) as request:
        lane.add(1.7, 0.4)
    sent = preview_of(request.value)["curves"]["AU4"]
    assert [tuple(pair) for pair in sent] == lane.keys
    # The picture of the curve: the canvas has its colour where the rendered curve runs.
    t = 0.7
    value = float(curve_at([(a, b) for a, b in sent], [t])[0])
    x, y = lane.place(t, value)
    box = lane.element.bounding_box()
    alpha = lane.element.locator("canvas").evaluate(
        "(canvas, [x, y]) => Math.max(...[-1, 0, 1].map((dy) => canvas.getContext('2d')"
        ".getImageData(Math.round(x), Math.round(y) + dy, 1, 1).data[3]))",
        [x - box["x"], y - box["y"]],
    )
    assert alpha > 200


def test_keys_snap_to_the_playhead_unless_alt_is_held(studio):
    lane = Lane(studio, "emotion:sad")
    lane.add(0.4, 0.5)
    studio.mouse.click(*lane.place(1.237, 0.95))
    playhead = studio.evaluate("document.querySelector('.clock').textContent")
    at = float(playhead.split(":")[1])
    lane.drag((0.4, lane.keys[0][1] / 1.2), (at + 0.006, 0.4))
    assert lane.keys[0][0] == pytest.approx(at, abs=0.006)
    studio.keyboard.down("Alt")
    lane.drag((lane.keys[0][0], lane.keys[0][1] / 1.2), (1.5071, 0.4))
    studio.keyboard.up("Alt")
    assert lane.keys[0][0] == pytest.approx(1.507, abs=0.003)


def test_keys_are_copied_to_the_playhead(studio):
    lane = Lane(studio, "emotion:angry")
    lane.add(0.2, 0.2)
    lane.add(0.4, 0.6)
    first = lane.keys
    studio.keyboard.press("Control+a")
    studio.keyboard.press("Control+c")
    studio.mouse.click(*lane.place(1.2, 0.98))
    studio.keyboard.press("Control+v")
    keys = lane.keys
    assert len(keys) == 4
    assert keys[3][0] - keys[2][0] == pytest.approx(first[1][0] - first[0][0], abs=0.002)
    assert [v for _, v in keys[2:]] == [v for _, v in first]


def test_a_band_selects_and_delete_removes(studio):
    lane = Lane(studio, "emotion:fear")
    for t in (0.3, 0.8, 1.3, 1.8):
        lane.add(t, 0.4)
    lane.drag((0.6, 0.95), (1.5, 0.95))
    assert studio.inner_text(".chosen") == "2 keys"
    studio.keyboard.press("Delete")
    assert [round(t, 1) for t, _ in lane.keys] == [0.3, 1.8]


def test_scale_and_smooth_act_on_the_lane_in_focus(studio):
    lane = Lane(studio, "emotion:surprised")
    for t, height in ((0.2, 0.2), (1.0, 0.8), (1.8, 0.2)):
        lane.add(t, height)
    before = [v for _, v in lane.keys]
    studio.keyboard.press("Escape")
    studio.click("button:has-text('× 0.8')")
    scaled = [v for _, v in lane.keys]
    assert scaled == pytest.approx([0.8 * v for v in before], abs=0.002)
    studio.click("button:has-text('Smooth')")
    smoothed = [v for _, v in lane.keys]
    assert scaled[0] < smoothed[1] < scaled[1]
    assert smoothed[::2] == scaled[::2]


def test_mute_and_solo_reach_the_request(studio):
    open_group(studio, "brow")
    brow = Lane(studio, "unit:AU4")
    brow.add(0.5, 0.8)
    Lane(studio, "emotion:happy").add(0.5, 0.5)
    row = studio.locator(".lane", has=brow.element)
    with studio.expect_request(lambda request: "mute" in preview_of(request)) as request:
        row.get_by_role("button", name="Mute").click()
    body = preview_of(request.value)
    assert body["mute"] == ["AU4"]
    assert "curves" not in body
    assert body["emotion_curve"]
    row.get_by_role("button", name="Mute").click()
    row.get_by_role("button", name="Solo").click()
    with studio.expect_request(lambda request: "curves" in preview_of(request)) as request:
        studio.mouse.click(*brow.place(1.4, 0.1))
    body = preview_of(request.value)
    assert "emotion_curve" not in body
    assert list(body["curves"]) == ["AU4"]


def test_left_and_right_come_apart(studio):
    open_group(studio, "mouth")
    lane = Lane(studio, "unit:AU12")
    lane.add(0.5, 0.8)
    studio.locator(".lane", has=lane.element).locator(".head").hover()
    studio.get_by_role("button", name="AU12: left and right apart").click()
    left, right = Lane(studio, "unit:AU12L"), Lane(studio, "unit:AU12R")
    assert left.keys == right.keys != []
    left.add(1.5, 0.1)
    assert len(left.keys) == 2
    assert len(right.keys) == 1


def test_units_are_found_by_any_of_their_names(visit):
    page = visit()
    for words, lane in (("frown", "unit:AU4"), ("au26", "unit:AU26"), ("corrugator", "unit:AU4")):
        page.fill("#search", words)
        page.wait_for_selector(f"[data-lane='{lane}']")
        assert page.locator("[data-lane]").count() < 6
    page.fill("#search", "xyzzy")
    assert page.locator("[data-lane]").count() == 0


def test_everything_can_be_done_with_keys(studio):
    studio.locator("[data-lane='emotion:disgusted']").focus()
    lane = Lane(studio, "emotion:disgusted")
    studio.keyboard.press("k")
    for _ in range(3):
        studio.keyboard.press("Shift+ArrowUp")
    assert lane.keys == [(0, pytest.approx(0.3))]
    studio.keyboard.press("Escape")
    for _ in range(5):
        studio.keyboard.press("Shift+ArrowRight")
    studio.keyboard.press("k")
    studio.keyboard.press("ArrowRight")
    studio.keyboard.press("ArrowDown")
    assert lane.keys[1] == (pytest.approx(2.0, abs=0.05), pytest.approx(0.29))
    studio.keyboard.press("[")
    assert "0:00" in studio.inner_text(".spoken")
    studio.keyboard.press("m")
    assert saved(studio)["score"]["muted"] == ["emotion:disgusted"]
    studio.keyboard.press("Tab")
    assert studio.evaluate("document.activeElement !== document.body")


def test_ruler_waveform_and_lanes_share_one_axis(studio):
    for _ in range(3):
        studio.keyboard.press("+")
    studio.wait_for_timeout(300)
    places = [
        studio.locator(one).first.bounding_box() for one in ("[data-ruler]", "[data-wave]", "[data-lane]")
    ]
    assert len({round(box["x"]) for box in places}) == 1
    lane = Lane(studio, "emotion:happy")
    x, _ = lane.place(1.0, 0.5)
    studio.mouse.click(x, places[0]["y"] + 5)
    head = studio.locator(".playhead").bounding_box()
    assert head["x"] + head["width"] / 2 == pytest.approx(x, abs=1.5)
    studio.keyboard.press("0")
    assert studio.locator(".scrollbar").evaluate("(bar) => bar.scrollWidth <= bar.clientWidth + 12")


def test_a_draft_comes_from_listening_and_undo_takes_it_back(studio):
    studio.click("#draft:not([disabled])")
    studio.click("text=Action Units predicted from the speech")
    assert "Predicted" in studio.inner_text(".notices")
    drafted = saved(studio)["score"]
    studio.keyboard.press("Control+z")
    assert saved(studio)["score"]["lanes"] == {}
    assert drafted["emotions"] == []


def test_previews_while_dragging_keep_up(studio):
    open_group(studio, "head")
    lane = Lane(studio, "head:yaw")
    lane.add(0.48, 0.5)
    studio.wait_for_timeout(2500)
    start = len(durations_ms(studio))
    studio.mouse.move(*lane.place(0.48, 0.5))
    studio.mouse.down()
    for step in range(60):
        studio.mouse.move(*lane.place(0.48, 0.5 + 0.3 * ((step % 20) / 20)))
        studio.wait_for_timeout(60)
    studio.mouse.up()
    while_dragging = durations_ms(studio)[start:]
    assert len(while_dragging) >= 5
    median, worst = np.percentile(while_dragging, [50, 95])
    LOG.info("preview while dragging: median %.0f ms, 95th percentile %.0f ms", median, worst)
    assert median < 2000


def test_wrong_files_are_refused_with_a_reason(visit, tmp_path: Path, speech):
    page = visit()
    text = tmp_path / "notes.txt"
    text.write_text("no picture", encoding="utf-8")
    choose(page, "#drop-portrait", text)
    page.wait_for_selector(".notice.error")
    choose(page, "#drop-portrait", speech)
    page.wait_for_selector("text=a picture or a video is needed")
    damaged = tmp_path / "x.auteur.json"
    damaged.write_text('{"format": "auteur-studio", "version": 7}', encoding="utf-8")
    choose(page, "#open", damaged)
    page.wait_for_selector("text=its version is 7")
