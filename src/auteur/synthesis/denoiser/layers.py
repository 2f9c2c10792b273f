"""The UNet and the motion modules of a config, wired as diffusers wires them: same places, same names."""

from collections.abc import Sequence

from torch import nn

from auteur.synthesis.blocks import (
    AnimateDiffTransformer3D,
    Downsample2D,
    ResnetBlock2D,
    TimestepEmbedding,
    Timesteps,
    Transformer2DModel,
    Upsample2D,
)


class UNetLevel(nn.Module):
    """A block of a UNet: residual blocks, attentions after them where it attends, and a change of size."""

    def __init__(
        self,
        resnets: Sequence[ResnetBlock2D],
        attentions: Sequence[Transformer2DModel] = (),
        *,
        down: Downsample2D | None = None,
        up: Upsample2D | None = None,
    ) -> None:
        super().__init__()
        if attentions:
            self.attentions = nn.ModuleList(attentions)
        self.resnets = nn.ModuleList(resnets)
        self.downsamplers = None if down is None else nn.ModuleList([down])
        self.upsamplers = None if up is None else nn.ModuleList([up])


class UNet(nn.Module):
    """The layers of `diffusers.UNet2DConditionModel`, which `denoiser.unet.walk` runs.

    Args:
        channels: Of input and output.
        widths: Channels by level.
        attends: Whether each level attends; the middle always does.
        layers: Residual blocks of a level on the way down; one more on the way up.
        heads: Of attention.
        groups: Of normalisation.
        context_width: Of the tokens of cross-attention; None: there is none.
    """

    def __init__(
        self,
        *,
        channels: int,
        widths: Sequence[int],
        attends: Sequence[bool],
        layers: int,
        heads: int,
        groups: int,
        context_width: int | None,
    ) -> None:
        super().__init__()
        time_width, levels = 4 * widths[0], range(len(widths))

        def resnet(entering: int, leaving: int) -> ResnetBlock2D:
            return ResnetBlock2D(entering, leaving, time_width=time_width, groups=groups)

        def attentions(level: int, count: int) -> list[Transformer2DModel]:
            made = range(count if attends[level] else 0)
            return [attention(widths[level]) for _ in made]

        def attention(width: int) -> Transformer2DModel:
            return Transformer2DModel(width, heads=heads, groups=groups, context_width=context_width)

        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0])
        self.time_embedding = TimestepEmbedding(widths[0], time_width)
        down: list[UNetLevel] = []
        for level in levels:
            width, entering = widths[level], widths[max(level - 1, 0)]
            down.append(
                UNetLevel(
                    [resnet(width if layer else entering, width) for layer in range(layers)],
                    attentions(level, layers),
                    down=Downsample2D(width) if level < levels[-1] else None,
                )
            )
        up: list[UNetLevel] = []
        for level in reversed(levels):
            width, before = widths[level], widths[min(level + 1, levels[-1])]
            skips = [width] * layers + [widths[max(level - 1, 0)]]
            up.append(
                UNetLevel(
                    [resnet((width if i else before) + skip, width) for i, skip in enumerate(skips)],
                    attentions(level, layers + 1),
                    up=Upsample2D(width) if level else None,
                )
            )
        last = widths[-1]
        self.down_blocks, self.up_blocks = nn.ModuleList(down), nn.ModuleList(up)
        self.mid_block = UNetLevel([resnet(last, last), resnet(last, last)], [attention(last)])
        self.conv_norm_out = nn.GroupNorm(groups, widths[0])
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], channels, 3, padding=1)


class MotionModules(nn.Module):
    """The motion modules of one block."""

    def __init__(self, width: int, count: int, *, heads: int, groups: int, longest: int) -> None:
        super().__init__()
        self.motion_modules = nn.ModuleList(
            AnimateDiffTransformer3D(width, heads=heads, groups=groups, longest=longest) for _ in range(count)
        )


class Adapter(nn.Module):
    """The modules of `diffusers.MotionAdapter`: motion modules for every layer of a UNet."""

    def __init__(
        self,
        widths: Sequence[int],
        layers: int,
        *,
        heads: int,
        groups: int,
        longest: int,
        middle: bool,
    ) -> None:
        super().__init__()

        def modules(width: int, count: int) -> MotionModules:
            return MotionModules(width, count, heads=heads, groups=groups, longest=longest)

        self.down_blocks = nn.ModuleList(modules(width, layers) for width in widths)
        self.mid_block = modules(widths[-1], 1) if middle else None
        self.up_blocks = nn.ModuleList(modules(width, layers + 1) for width in reversed(widths))
