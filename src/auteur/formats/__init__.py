"""Readers and writers of other programs' tables: text to objects and back. Reading never rescales numbers."""

from auteur.formats.arkit_json import ArkitWeights, arkit_json_text, is_arkit_json, read_arkit_json
from auteur.formats.au_table import read_au_table
from auteur.formats.exchange import FILE_KINDS, write_recorded
from auteur.formats.fex import FexTable, fex_text, read_fex
from auteur.formats.live_link import LiveLinkTake, live_link_text, read_live_link
from auteur.formats.openface import (
    DENSE_COLUMNS,
    OPENFACE_COLUMNS,
    OTHER_COLUMNS,
    OTHER_CONTROLS,
    PRESENCE_COLUMNS,
    OpenFaceRow,
    OpenFaceWriter,
    pose_from_openface,
    pose_to_openface,
    read_openface,
)
from auteur.formats.openface_tracks import OpenFaceTracks, openface_tracks
from auteur.formats.recorded import RecordedPerformance, TrackReading, read_au_track, read_recorded
from auteur.formats.rhubarb import CUE_SUFFIXES, MouthCue, cues_text
from auteur.formats.table import open_table

__all__ = [
    "CUE_SUFFIXES",
    "DENSE_COLUMNS",
    "FILE_KINDS",
    "OPENFACE_COLUMNS",
    "OTHER_COLUMNS",
    "OTHER_CONTROLS",
    "PRESENCE_COLUMNS",
    "ArkitWeights",
    "FexTable",
    "LiveLinkTake",
    "MouthCue",
    "OpenFaceRow",
    "OpenFaceTracks",
    "OpenFaceWriter",
    "RecordedPerformance",
    "TrackReading",
    "arkit_json_text",
    "cues_text",
    "fex_text",
    "is_arkit_json",
    "live_link_text",
    "open_table",
    "openface_tracks",
    "pose_from_openface",
    "pose_to_openface",
    "read_arkit_json",
    "read_au_table",
    "read_au_track",
    "read_fex",
    "read_live_link",
    "read_openface",
    "read_recorded",
    "write_recorded",
]
