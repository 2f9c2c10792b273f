"""AniPortrait, Hallo and MEMO at their published sizes: counted cost, and memory of conversion.

    python benchmarks/published.py count               parameters and multiply-adds, on any machine
    python benchmarks/published.py convert hallo OUT   a checkpoint of the published layout, converted

No weights are needed: numbers are random. Frames per second on a GPU: benchmarks/published_speed.py.
"""

import argparse
import json
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from auteur.synthesis.published.aniportrait import AniPortrait
from auteur.synthesis.published.checkpoints import LAYOUTS
from auteur.synthesis.published.convert import convert_checkpoint
from auteur.synthesis.published.hallo import Hallo, HalloConditions
from auteur.synthesis.published.memo import PAST_FRAMES, Memo, MemoConditions
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.schedule import LoopSettings
from auteur.synthesis.published.sizes import UNetSizes

FRAMES = 16
KINDS = ("aniportrait", "hallo", "memo")


def full_size(kind: str) -> AniPortrait | Hallo | Memo:
    """The networks of the published size, without numbers."""
    with torch.device("meta"):
        if kind == "aniportrait":
            return AniPortrait(UNetSizes(longest=32))
        sizes = UNetSizes(longest=32, audio_width=768)
        return (Hallo(sizes) if kind == "hallo" else Memo(sizes)).eval()


def randomised(model: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """The same with small random weights on a device."""
    model.to_empty(device=device)
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.normal_(0, 0.02) if value.ndim > 1 else value.fill_(1.0 if name.endswith("weight") else 0.0)
    return model.to(dtype).eval().requires_grad_(False)


@dataclass(frozen=True)
class Window:
    """Sizes of a window to be denoised."""

    side_px: int = 512
    context: int = 768
    embedding: int = 512
    layers: int = 12
    width: int = 768
    """Of the speech network."""


def denoise(model: nn.Module, settings: LoopSettings, device: str, dtype: torch.dtype, sizes: Window) -> None:
    """One window of 16 frames."""
    side = sizes.side_px // 8

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=dtype)

    noise, audio = some(1, FRAMES, 4, side, side), some(FRAMES, 5, sizes.layers, sizes.width)
    if isinstance(model, AniPortrait):
        drawings = torch.zeros(FRAMES, sizes.side_px, sizes.side_px, 3, dtype=torch.uint8, device=device)
        drawings[:, sizes.side_px // 4 : sizes.side_px // 2, sizes.side_px // 3] = 200
        model.generate(
            noise,
            portrait=some(1, 4, side, side),
            identity=some(1, 1, sizes.context),
            drawings=lambda numbers: drawings[list(numbers)],
            settings=settings,
        )
    elif isinstance(model, Hallo):
        masks = [torch.ones(3, (side >> level) ** 2, device=device, dtype=dtype) for level in range(4)]
        box = some(1, 3, sizes.side_px, sizes.side_px)
        given = HalloConditions(embedding=some(1, sizes.embedding), audio=audio, face_box=box, masks=masks)
        model.window(noise, reference=some(3, 4, side, side), given=given, settings=settings)
    elif isinstance(model, Memo):
        model.window(
            noise,
            reference=some(1 + PAST_FRAMES, 4, side, side),
            given=MemoConditions(embedding=some(1, sizes.embedding), audio=audio, emotion=3),
            memory=Memory(),
            settings=settings,
        )


def count() -> None:
    """Prints parameters of each network and multiply-adds of a guided step of 16 frames."""
    from torch.utils.flop_counter import FlopCounterMode

    for kind in KINDS:
        model = full_size(kind)
        parts = {
            name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in model.named_children()
        }
        with FlopCounterMode(display=False) as counter:
            denoise(model.to("meta"), LoopSettings(steps=1), "meta", torch.float32, Window())
        tera = counter.get_total_flops() / 2e12
        print(
            json.dumps({"model": kind, "parameters_m": parts, "tera_multiply_adds_one_step": round(tera, 2)})
        )


def write_dummy(kind: str, folder: Path) -> None:
    """A checkpoint of the published size whose tensors repeat one number, so that it takes no room."""
    shapes = {name: part.state_dict() for name, part in full_size(kind).named_children()}
    files: dict[str, dict[str, torch.Tensor]] = {}
    for name, sources in LAYOUTS[kind].networks.items():  # pyright: ignore
        for key, value in shapes[name].items():
            is_motion = "motion_modules" in key
            source = sources[0 if is_motion or len(sources) == 1 else 1]
            number = torch.zeros((), dtype=torch.float32 if value.is_floating_point() else value.dtype)
            files.setdefault(source.file, {})[source.prefix + key] = number.expand(value.shape)
    for file, tensors in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        torch.save(tensors, folder / file)  # the reader goes by content, whatever the name's end


def convert(kind: str, out: Path) -> None:
    """Converts such a checkpoint, and prints seconds and the highest memory."""
    import diffusers
    import transformers

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_dummy(kind, folder)
        diffusers.AutoencoderKL(block_out_channels=(8, 8, 8, 8), norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ).save_pretrained(folder / "sd-vae-ft-mse")  # fmt: skip
        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        if kind == "aniportrait":
            encoder = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**small))
            encoder.save_pretrained(folder / "image_encoder")
        else:
            config = transformers.Wav2Vec2Config(**small, num_conv_pos_embedding_groups=2)
            transformers.Wav2Vec2Model(config).save_pretrained(folder / "wav2vec")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        convert_checkpoint(folder, out)
        print(
            json.dumps(
                {
                    "model": kind,
                    "seconds": round(time.perf_counter() - started, 1),
                    "written_gb": round(sum(p.stat().st_size for p in out.rglob("*.safetensors")) / 1e9, 2),
                    "peak_gb_before": round(before / 2**20, 2),
                    "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
                }
            )
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("count", "convert"))
    parser.add_argument("model", nargs="?", choices=KINDS)
    parser.add_argument("out", nargs="?", type=Path)
    given = parser.parse_args()
    if given.what == "count":
        count()
    else:
        convert(given.model or "aniportrait", given.out or Path("published_dummy"))


if __name__ == "__main__":
    main()
