"""Text in: a voice of this machine speaks it, as a program of its own, and words get their times."""

from auteur.voice.captions import captions_text, check_captions
from auteur.voice.speaking import Spoken, speak, voices
from auteur.voice.words import Word

__all__ = ["Spoken", "Word", "captions_text", "check_captions", "speak", "voices"]
