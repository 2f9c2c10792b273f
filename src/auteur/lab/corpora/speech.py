"""Recordings of speech without pictures: a folder of sounds, with or without a table of their labels.

Read as a plain folder (`auteur.lab.corpora.folder`); the table names files in the column `audio`, and its
emotions are those of voices, calm and bored among them.
"""

from pathlib import Path

from auteur.expression.audio_lm.prompts import find_voice_emotion
from auteur.lab.corpora.folder import PlainFolder
from auteur.lab.corpora.listing import SOUND_SUFFIXES
from auteur.lab.data.splits import is_held_out_speaker

LAYOUT = PlainFolder(
    kind="speech",
    medium="sound",
    column="audio",
    suffixes=SOUND_SUFFIXES,
    person_of=lambda name: Path(name).stem,
    held_out_by=is_held_out_speaker,
    emotion_of=find_voice_emotion,
).layout
