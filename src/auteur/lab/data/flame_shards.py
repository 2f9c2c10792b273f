"""Shards with FLAME's numbers, wherever they are."""

from collections.abc import Sequence

from auteur.lab.data.shards import INDEX, PartName, ShardReader, feature_folder


def with_flame(reader: ShardReader, part: PartName | None, features: Sequence[str] = ()) -> ShardReader:
    """Returns a reader that gives FLAME's numbers, too.

    They are in the common record of corpora prepared with `--measured`, unless the feature "flame" was added.
    """
    is_added = (feature_folder(reader.folder, "flame") / INDEX).exists()
    more = ["flame"] if is_added or not reader.index["options"].get("measured") else []
    return ShardReader(reader.folder, part=part, features=[*features, *more])
