"""Text to speech by a voice of this machine, a program of its own, with the times of words."""

from auteur.voice.captions import captions_text, check_captions
from auteur.voice.speaking import Spoken, speak, voices
from auteur.voice.words import Word

__all__ = ["Spoken", "Word", "captions_text", "check_captions", "speak", "voices"]
