"""Pictures, sound and video in and out: the only importer of FFmpeg, libsndfile, soxr and Pillow.

Inputs are opened by content and within a `Budget`; outputs appear whole, marked and with a sidecar, or not at
all.
"""

from auteur.media.audio import read_audio
from auteur.media.audio_writer import write_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.image import jpeg_bytes, read_image, resized, write_image
from auteur.media.output import check_marked
from auteur.media.probe import MediaInfo, probe
from auteur.media.speech import (
    SPEECH_RATE_HZ,
    SpeechFile,
    SpeechNotes,
    examine_speech,
    open_speech,
    read_speech,
)
from auteur.media.tags import read_mark_text
from auteur.media.video_reader import VideoFrame, VideoReader
from auteur.media.video_writer import VideoWriter

__all__ = [
    "DEFAULT_BUDGET",
    "SPEECH_RATE_HZ",
    "Budget",
    "MediaInfo",
    "SpeechFile",
    "SpeechNotes",
    "VideoFrame",
    "VideoReader",
    "VideoWriter",
    "check_marked",
    "examine_speech",
    "jpeg_bytes",
    "open_speech",
    "probe",
    "read_audio",
    "read_image",
    "read_mark_text",
    "read_speech",
    "resized",
    "write_audio",
    "write_image",
]
