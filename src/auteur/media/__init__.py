"""Pictures, sound and video in and out: the only importer of FFmpeg, libsndfile, soxr and Pillow.

Inputs are opened by content and within a `Budget`; outputs appear whole, marked and with a sidecar, or not at
all.
"""

from auteur.media.arrays import is_pillow_image, parse_colour, picture_from, sound_from, sound_of_bytes
from auteur.media.audio import read_audio
from auteur.media.audio_writer import write_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.frame_output import check_frames_output, has_sound, open_frames
from auteur.media.frame_writer import FrameWriter
from auteur.media.image import jpeg_bytes, read_image, resized, write_image
from auteur.media.output import check_marked
from auteur.media.probe import VIDEO_SUFFIXES, MediaInfo, probe
from auteur.media.soundtrack import Soundtrack
from auteur.media.speech import (
    SPEECH_RATE_HZ,
    SpeechFile,
    SpeechNotes,
    examine_speech,
    open_speech,
    read_speech,
)
from auteur.media.tags import read_mark_text
from auteur.media.video_formats import QUALITIES
from auteur.media.video_reader import VideoFrame, VideoReader
from auteur.media.video_writer import VideoWriter

__all__ = [
    "DEFAULT_BUDGET",
    "QUALITIES",
    "SPEECH_RATE_HZ",
    "VIDEO_SUFFIXES",
    "Budget",
    "FrameWriter",
    "MediaInfo",
    "Soundtrack",
    "SpeechFile",
    "SpeechNotes",
    "VideoFrame",
    "VideoReader",
    "VideoWriter",
    "check_frames_output",
    "check_marked",
    "examine_speech",
    "has_sound",
    "is_pillow_image",
    "jpeg_bytes",
    "open_frames",
    "open_speech",
    "parse_colour",
    "picture_from",
    "probe",
    "read_audio",
    "read_image",
    "read_mark_text",
    "read_speech",
    "resized",
    "sound_from",
    "sound_of_bytes",
    "write_audio",
    "write_image",
]
