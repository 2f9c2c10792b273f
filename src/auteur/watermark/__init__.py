"""An imperceptible watermark in the pixels of every written video and picture, and its detector.

`Embedder` puts eight bits that name the tool and 32 that name the run into frames; `read_watermark` finds
them again in files, `detect` in arrays, after compression, scaling, cropping and small rotations. Embedding
takes NumPy alone; the detector imports torch when it is called. The method and its limits: docs/watermark.md.
"""

from auteur.watermark.code import TOOL
from auteur.watermark.detection import WatermarkReading, detect
from auteur.watermark.embedding import Embedder, embed
from auteur.watermark.files import read_watermark

__all__ = ["TOOL", "Embedder", "WatermarkReading", "detect", "embed", "read_watermark"]
