"""Photographs of faces: a folder of pictures, with or without a table of their labels.

Read as a plain folder (`auteur.lab.corpora.folder`); the table names files in the column `picture`. Without a
person, `Person_Name_0001.jpg` in the root shows Person_Name.
"""

from auteur.lab.corpora.folder import PlainFolder
from auteur.lab.data.splits import is_held_out, person_of_photo

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic")

LAYOUT = PlainFolder(
    kind="photos",
    medium="picture",
    column="picture",
    suffixes=PICTURE_SUFFIXES,
    person_of=person_of_photo,
    held_out_by=is_held_out,  # by the bare name, as for the photographs of the shipped models
).layout
