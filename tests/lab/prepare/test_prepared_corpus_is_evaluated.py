"""Protocols of papers take the held-out people of a real preparation, and their labels with them."""

import pytest

from auteur.errors import InputError
from auteur.evaluate.corpus import of_people, read_corpus
from auteur.lab.data.splits import PUBLISHED_TEST_PEOPLE
from auteur.media import VideoReader, read_speech

pytestmark = pytest.mark.slow


def test_clips_of_test_people_are_unpacked_with_sound_and_labels(prepared, tmp_path):
    clips = read_corpus([prepared.out], tmp_path / "corpus")
    assert clips and {clip.person for clip in clips} <= PUBLISHED_TEST_PEOPLE["mead"]
    assert {clip.emotion for clip in clips} <= {"neutral", "happy", "angry"}
    for clip in clips:
        with VideoReader(clip.video) as video:
            assert next(iter(video)).image.ndim == 3
        assert read_speech(clip.video.with_suffix(".flac")).duration_sec > 0.5
    with pytest.raises(InputError, match="test people M003, M030, W009, W015 and the corpus has no clip of"):
        of_people(clips, ("M003", "M030", "W009", "W015"), any_people=False)
