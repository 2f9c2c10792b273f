"""A conditioner as short as one can be: the example of docs/adding_a_conditioner.md.

Run as a program with a folder as argument, it puts itself into the registry before anything else is imported
and goes through all that loops over the registry, for `denoiser/test_conditioner_registry.py`.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import Place, choose, null, per_place, zero


@dataclass(frozen=True, kw_only=True)
class DefocusConfig:
    """Sizes of the defocus conditioner."""

    width: int = 8
    dropout: float = 0.1


class DefocusConditioner(Conditioner):
    """How far the camera is out of focus: a number per frame, added to every feature map."""

    name = "defocus"
    inputs = (Input("defocus", per_frame=True),)
    entry = Entry.ADAPTER
    config_type = DefocusConfig
    guided_by = "reference"
    optional = True

    def __init__(self, config: DefocusConfig, places: list[Place]) -> None:
        super().__init__()
        self.encoder = nn.Linear(1, config.width)
        self.null = null(config.width)
        self.layers = per_place(places, lambda at: zero(nn.Linear(config.width, at.channels)))

    @classmethod
    def build(cls, config: DefocusConfig, network: NetworkShape) -> Self:
        return cls(config, network.places)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        return {"defocus": (sample.frames, 1)}

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> Tensor:
        numbers = given.get("defocus")
        if numbers is None:
            return self.null.expand(sample.rows * sample.frames, -1)
        return choose(given.present, self.encoder(numbers), self.null).flatten(0, 1)

    def forward(self, place: str, value: Tensor, code: Tensor) -> Tensor:
        layer = self.layers[place]
        return value + layer(code)[:, :, None, None]


def _go_through_everything(folder: str) -> None:
    from auteur.synthesis.conditioners import registry

    registry.CONDITIONERS["defocus"] = DefocusConditioner

    from pathlib import Path

    import torch

    from auteur.lab.data.denoiser_clips import ClipFolder, write_clips
    from auteur.lab.data.shards import Corpora
    from auteur.synthesis.conditions import Conditions
    from auteur.synthesis.denoiser.builder import build_denoiser
    from auteur.synthesis.denoiser.config import DenoiserConfig, UNetConfig
    from auteur.synthesis.denoiser.parts import part_names, train_only
    from auteur.synthesis.denoiser.preconditioner import Preconditioner
    from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser
    from auteur.synthesis.guidance import Guidance, guided_prediction

    unet = UNetConfig(widths=(8, 16), attends=(False, True), layers=1, heads=2, groups=4, context_width=None)
    bare = DenoiserConfig.of(channels=3, process="flow", unet=unet)
    config = bare.changed(defocus=DefocusConfig(dropout=1.0))
    assert DenoiserConfig.from_json(config.to_json()) == config
    assert config.condition_names == ("defocus",) and config.optional_dropout_rates == {"defocus": 1.0}
    # A new conditioner changes nothing, and its part can be trained, saved and loaded alone.
    model, sample, time = (
        build_denoiser(config, seed=0),
        torch.randn(2, 4, 3, 8, 8),
        torch.tensor([20.0, 900.0]),
    )
    given = Conditions(defocus=torch.rand(2, 4, 1))
    assert torch.equal(model(sample, time, given), build_denoiser(bare, seed=0)(sample, time, Conditions()))
    assert part_names(model) == ("base", "defocus")
    learning = train_only(model, ["defocus"])
    with torch.no_grad():
        for parameter in learning.values():
            parameter.normal_(0, 0.3)
    save_denoiser(model, f"{folder}/model.safetensors")
    model = load_denoiser(f"{folder}/model.safetensors")
    # It counts, guidance scales it, and dropout leaves the null.
    with torch.no_grad():
        plain, null_made = (model(sample, time, one) for one in (given, given.without("defocus")))
        strong = guided_prediction(model, given, Guidance(reference=3.0))(sample, time)
    assert not torch.allclose(plain, null_made)
    assert torch.allclose(strong, null_made + 3 * (plain - null_made), atol=1e-4)
    dropped = given.drop(config.dropout_rates, torch.Generator().manual_seed(0))
    assert torch.allclose(model(sample, time, dropped), null_made)
    # Clips hold it, and a recipe's loss reaches it.
    tensors = {"clean": torch.randn(6, 3, 8, 8), "defocus": torch.rand(6, 1)}
    clips = write_clips(Path(folder) / "shards", [("clip", "nobody who is held out", tensors)])
    generator = torch.Generator().manual_seed(0)
    batch = ClipFolder(Corpora(shards=(clips,)), names=config.condition_names).batch(2, 4, generator)
    assert batch.conditions.names == ("defocus",)
    preconditioner = Preconditioner(config.diffusion)
    noisy = preconditioner.draw(batch.clean, generator)
    learning = train_only(model, ["defocus"])
    preconditioner.loss(model(noisy.sample, noisy.model_time, batch.conditions), noisy).backward()
    reached = [name for name, one in learning.items() if one.grad is not None and one.grad.any()]
    assert any("layers" in name for name in reached) and any("encoder" in name for name in reached), reached


if __name__ == "__main__":
    import sys

    _go_through_everything(sys.argv[1])
