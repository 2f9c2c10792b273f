"""Location of the face, as a map that Hallo adds to its first convolution's output (theirs: FaceLocator)."""

from itertools import pairwise

from torch import Tensor, nn

from auteur.synthesis.published.sizes import Shapes


class FaceLocator(nn.Module):
    """3 x 3 convolutions with SiLU between them, three of stride 2.

    Args:
        leaving: Channels of the map; the UNet's first width.
        channels: Of the layers, from finest to coarsest.
    """

    def __init__(self, leaving: int = 320, channels: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1)
        blocks: list[nn.Module] = []
        for entering, after in pairwise(channels):
            blocks.append(nn.Conv2d(entering, entering, 3, padding=1))
            blocks.append(nn.Conv2d(entering, after, 3, padding=1, stride=2))
        self.blocks = nn.ModuleList(blocks)
        self.conv_out = nn.Conv2d(channels[-1], leaving, 3, padding=1)

    def forward(self, boxes: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] that are 1 in the box around the face, 0 elsewhere → [N, C, H / 8, W / 8]."""
        hidden = nn.functional.silu(self.conv_in(boxes))
        for block in self.blocks:
            hidden = nn.functional.silu(block(hidden))
        return self.conv_out(hidden)

    @staticmethod
    def sizes(shapes: Shapes) -> dict[str, int | tuple[int, ...]]:
        """Returns the arguments of a locator with tensors of these shapes; KeyError where there is none."""
        channels = [shapes["conv_in.weight"][0]]
        while f"blocks.{2 * len(channels) - 1}.weight" in shapes:
            channels.append(shapes[f"blocks.{2 * len(channels) - 1}.weight"][0])
        return {"leaving": shapes["conv_out.weight"][0], "channels": tuple(channels)}
