"""Protocols that make their own videos, on tiny portraits and clips, from end to end."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from auteur.errors import InputError, UsageError
from auteur.evaluate import protocols
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.evaluate.performances import (
    SPEECH_ONLY,
    SPOKEN_LIPS,
    TRUE_UNITS,
    UNITS_AND_HEAD,
    run_protocol,
)
from auteur.evaluate.report import write_report
from auteur.evaluate.scoring import REAL, STILL, WARP, ClipScorer
from auteur.evaluate.streams import Networks
from auteur.evaluate.sweeps import SWEPT_EMOTIONS
from auteur.media import write_image
from auteur.provenance import Mark
from judges.anchors import anchors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real_videos(talk, write_film, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    write_film(folder / "ada.mp4", talk[:12], sound=True)
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in talk[4:16]]
    write_film(folder / "bob.mp4", mirrored, sound=True)
    return folder


def scorer_of(protocol, backend) -> ClipScorer:
    return ClipScorer(dataclasses.replace(protocol, size_px=128), backend, Networks(FaceFeatureNet()))


def test_self_reenactment_makes_and_scores_every_system(real_videos, backend, tmp_path):
    protocol = protocols.load("self-reenactment")
    done = run_protocol(
        protocol, [real_videos / "ada.mp4"], tmp_path, scorer=lambda: scorer_of(protocol, backend)
    )
    assert done.systems == (REAL, STILL, WARP, TRUE_UNITS, UNITS_AND_HEAD, SPOKEN_LIPS, SPEECH_ONLY)
    assert not done.failures
    for system in (TRUE_UNITS, UNITS_AND_HEAD, SPOKEN_LIPS, SPEECH_ONLY):
        assert done.summary[system]["face_rate"].mean == 1
        assert done.summary[system]["m_lmd"].mean > 0
    assert "face_flow" in done.settings["system"]
    page = write_report(done, tmp_path)[0].read_text(encoding="utf-8")
    assert TRUE_UNITS in page and (tmp_path / "videos" / "ada.true_units.mp4").exists()


def test_cross_identity_is_scored_against_the_portrait_and_not_pixel_by_pixel(real_videos, backend, tmp_path):
    protocol = protocols.load("cross-identity")
    done = run_protocol(protocol, [real_videos], tmp_path, scorer=lambda: scorer_of(protocol, backend))
    assert [scored.clip.name for scored in done.clips] == ["ada.driven_by.bob", "bob.driven_by.ada"]
    assert done.systems == (REAL, TRUE_UNITS)
    assert not {"psnr", "ssim", "m_lmd", "flicker", "perceptual"} & done.summary[TRUE_UNITS].keys()
    assert done.summary[TRUE_UNITS]["identity"].mean > done.summary[REAL]["identity"].mean


def test_the_emotion_sweep_is_a_table_of_seven_and_leaves_out_what_shows_no_face(puppet, tmp_path):
    write_image(tmp_path / "me.png", puppet.portrait, mark=Mark(watermark=False))
    write_image(tmp_path / "wall.png", np.full((64, 64, 3), 128, np.uint8), mark=Mark(watermark=False))
    (tmp_path / "text.png").write_bytes(b"no picture")
    portraits = [tmp_path / f"{name}.png" for name in ("text", "me", "wall")]
    protocol = protocols.load("emotion-sweep")
    done = run_protocol(protocol, portraits, tmp_path, scorer=lambda: pytest.fail("unused"))
    assert [line.split(":")[0] for line in done.failures] == ["text.png", "wall.png"]
    with pytest.raises(InputError, match=r"no portrait could be measured; wall\.png: no face"):
        run_protocol(protocol, portraits[2:], tmp_path, scorer=lambda: pytest.fail("unused"))
    (table,) = done.tables
    assert table.about.startswith("1 portraits")
    assert [row[0] for row in table.rows] == list(SWEPT_EMOTIONS)
    assert {row[0]: row[1] for row in table.rows}["surprised"] > 0.5
    write_report(done, tmp_path)


def test_what_a_protocol_lacks_is_named(real_videos, puppet, tmp_path):
    write_image(tmp_path / "me.png", puppet.portrait, mark=Mark(watermark=False))
    with pytest.raises(UsageError, match="--speech"):
        run_protocol(
            protocols.load("long-audio"),
            [tmp_path / "me.png"],
            tmp_path,
            scorer=lambda: pytest.fail("unused"),
        )
    with pytest.raises(InputError, match="holds no portrait"):
        run_protocol(
            protocols.load("au-sweep"), [real_videos], tmp_path, scorer=lambda: pytest.fail("unused")
        )


def test_anchors_give_the_scores_of_same_and_different(puppet, backend, write_film, tmp_path):
    tinted = np.clip(puppet.portrait * [0.85, 0.95, 1.1], 0, 255).astype(np.uint8)
    films = {
        write_film(tmp_path / f"{name}.mp4", [picture] * 27, sound=True): name
        for name, picture in (("ada", puppet.portrait), ("tinted", tinted))
    }
    looks, *lips = anchors(films, backend)
    assert looks.pairs == (2, 1) and looks.separated == 1
    assert looks.same > looks.different
    assert all(found.pairs == (0, 0) and np.isnan(found.separated) for found in lips), "too short to decide"
