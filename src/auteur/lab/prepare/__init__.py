"""From a corpus on disk to shards that training reads: tracked, filtered, cropped, measured."""

from auteur.lab.data.shards import Sample, ShardReader
from auteur.lab.prepare.options import PrepareOptions
from auteur.lab.prepare.run import Progress, Summary, prepare

__all__ = ["PrepareOptions", "Progress", "Sample", "ShardReader", "Summary", "prepare"]
