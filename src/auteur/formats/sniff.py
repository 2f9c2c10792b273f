"""Reads an Action Unit track out of any file that Auteur knows."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np

from auteur.errors import FormatError
from auteur.formats.au_table import check_channels, read_au_table
from auteur.formats.fex import read_fex
from auteur.formats.live_link import read_live_link
from auteur.formats.openface import read_openface
from auteur.formats.openface_tracks import openface_tracks
from auteur.formats.table import open_table
from auteur.signals import AU_TABLE_MARK, AUTrack
from auteur.signals.storage import MAX_TRACK_BYTES, read_text


def read_au_track(path: Path | str, *, rate: Fraction | None = None, face_id: int | None = None) -> AUTrack:
    """The Action Units in a file of any known kind; its content says which.

    Kinds: our JSON and table, and the CSV of OpenFace, py-feat and Live Link Face.

    Args:
        path: The file.
        rate: Frame rate of the video: needed for py-feat, which does not store it (25 unless given), and for
            Live Link takes at a fractional rate. The other kinds know their own, and ignore it.
        face_id: Face of an OpenFace table; the one tracked longest unless given.

    Raises:
        InputError: The file is missing or cannot be read.
        FormatError: It is of no known kind, or breaks the rules of its kind.
        UsageError: It has no such face.
    """
    source = str(path)
    with open_table(path) as stream:
        first = stream.readline(1_000_000)
        lines = itertools.chain([first], stream)
        names = {name.strip().lower() for name in first.split(",")}
        if first.startswith(AU_TABLE_MARK):
            return read_au_table(lines, source=source)
        if "timecode" in names:
            return read_live_link(lines, rate=rate, source=source).shapes
        if {"timestamp", "success"} <= names:
            track = openface_tracks(
                read_openface(lines, dense=False, source=source), face_id=face_id
            ).action_units
            if np.isnan(track.values).all():
                raise FormatError(
                    f"{source}: the table has no Action Units or no row with success; track again"
                )
            return track
        if "frame" in names and "au01" in names:
            return read_fex(lines, source=source).au_track(rate=rate or 25)
    if first.lstrip().startswith("{"):
        return check_channels(
            AUTrack.from_text(read_text(path, max_bytes=MAX_TRACK_BYTES), source=source), source
        )
    raise FormatError(
        f"{source}: no known kind of track; give our JSON or CSV, or one of OpenFace, py-feat or Live Link"
    )
