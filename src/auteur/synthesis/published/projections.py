"""Projections of a face embedding and of speech to the UNet's tokens (Hallo, MEMO)."""

from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.published.sizes import Shapes


class ImageProjection(nn.Module):
    """A face embedding as context tokens (theirs: ImageProjModel).

    Args:
        embedding: Numbers of an embedding, 512 for InsightFace's.
        tokens: Of the context.
        width: Numbers per token.
    """

    def __init__(self, embedding: int = 512, tokens: int = 4, width: int = 768) -> None:
        super().__init__()
        self.proj = nn.Linear(embedding, tokens * width)
        self.norm = nn.LayerNorm(width)

    @property
    def embedding(self) -> int:
        """Numbers of an embedding."""
        return self.proj.in_features

    def forward(self, embeddings: Tensor) -> Tensor:
        """[B, embedding] → [B, tokens, width]; zeros, no face, give the unconditional ones."""
        width = self.norm.normalized_shape[0]
        return self.norm(self.proj(embeddings).unflatten(-1, (-1, width)))

    @staticmethod
    def sizes(shapes: Shapes) -> dict[str, int]:
        """Returns the arguments of a projection with tensors of these shapes; KeyError: there is none."""
        width, (leaving, entering) = shapes["norm.weight"][0], shapes["proj.weight"]
        return {"embedding": entering, "tokens": leaving // width, "width": width}


class AudioProjection(nn.Module):
    """Five frames of all layers of a speech network as audio tokens of a frame (theirs: AudioProjModel).

    Args:
        entering: Numbers of a window: frames x layers x width, 5 x 12 x 768.
        hidden: Width between the layers.
        tokens: Per frame.
        width: Numbers per token.
    """

    def __init__(self, entering: int = 46080, hidden: int = 512, tokens: int = 32, width: int = 768) -> None:
        super().__init__()
        self.proj1, self.proj2 = nn.Linear(entering, hidden), nn.Linear(hidden, hidden)
        self.proj3, self.norm = nn.Linear(hidden, tokens * width), nn.LayerNorm(width)

    def forward(self, windows: Tensor) -> Tensor:
        """[F, 5, layers, D] → [F, tokens, width].

        Raises:
            UsageError: The windows hold another number of features than the network reads.
        """
        flat = windows.flatten(1)
        if flat.shape[1] != self.proj1.in_features:
            raise UsageError(
                f"a window of speech holds {flat.shape[1]} numbers; the weights read "
                f"{self.proj1.in_features}: 5 frames of all layers of a wav2vec 2.0 base network"
            )
        hidden = self.proj2(self.proj1(flat).relu()).relu()
        return self.norm(self.proj3(hidden).unflatten(-1, (-1, self.norm.normalized_shape[0])))

    @staticmethod
    def sizes(shapes: Shapes) -> dict[str, int]:
        """Returns the arguments of a projection with tensors of these shapes; KeyError: there is none."""
        width, (hidden, entering) = shapes["norm.weight"][0], shapes["proj1.weight"]
        tokens = shapes["proj3.weight"][0] // width
        return {"entering": entering, "hidden": hidden, "tokens": tokens, "width": width}
