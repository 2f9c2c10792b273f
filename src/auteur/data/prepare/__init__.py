"""From a corpus on disk to shards that training reads: tracked, filtered, cropped, measured."""

from auteur.data.prepare.options import PrepareOptions
from auteur.data.prepare.reader import Sample, ShardReader
from auteur.data.prepare.run import Progress, Summary, prepare

__all__ = ["PrepareOptions", "Progress", "Sample", "ShardReader", "Summary", "prepare"]
