"""Denoisers small enough for tests: the real network with random weights, and exact ones in closed form."""

import torch
from torch import Tensor

from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.conditioners.audio import AudioConfig
from auteur.synthesis.conditioners.past import PastConfig
from auteur.synthesis.conditioners.reference import ReferenceConfig
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig, TemporalConfig, UNetConfig
from auteur.synthesis.samplers import Process

SIDE = 8
CHANNELS = 3
UNITS = 4


def tiny(*, au: bool = True, past: bool = False, seed: int = 0):
    """The real denoiser, every weight random, so that no conditioner is zero by initialisation."""
    model = build_denoiser(
        DenoiserConfig.of(
            channels=CHANNELS,
            process="flow",
            unet=UNetConfig(
                widths=(8, 16), attends=(False, True), layers=1, heads=2, groups=4, context_width=None
            ),
            temporal=TemporalConfig(levels=(False, True), middle=False, heads=2, groups=4),
            reference=ReferenceConfig(),
            audio=AudioConfig(features=5, window=3, hidden=8, tokens=2, width=8, head=8, by_region=False),
            au=AUConfig(form="sequence", action_units=UNITS, width=8, head=8) if au else None,
            past=PastConfig(frames=2, head=8) if past else None,
        ),
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def tiny_conditions(rows: int, frames: int, *, au: bool = True, seed: int = 1) -> Conditions:
    """Random conditions for `tiny`."""
    generator = torch.Generator().manual_seed(seed)
    return Conditions(
        reference=torch.randn(rows, CHANNELS, SIDE, SIDE, generator=generator),
        audio=torch.randn(rows, frames, 3, 5, generator=generator),
        au=torch.rand(rows, frames, UNITS, generator=generator) if au else None,
    )


def correlation(count: int, pole: float) -> Tensor:
    """Autocorrelation [count] of the second-order process with a double real pole, variance 1."""
    lag = torch.arange(count, dtype=torch.float64)
    return pole**lag * (1 + lag * (1 - pole**2) / (1 + pole**2))


class ExactDenoiser:
    """The perfect denoiser of a film whose pixels follow a known second-order process in time.

    Two past frames determine what follows, so windows that are given them join without
    any seam; windows that are not do not.
    """

    config = None
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, process: Process, *, pole: float = 0.6, knows_past: bool = True) -> None:
        self._process, self._pole = process, pole
        self.condition_names = ("past",) if knows_past else ()
        self._cache: dict[tuple[float, int, int], tuple[Tensor, Tensor]] = {}

    def prepare(self, conditions: Conditions) -> Conditions:
        return conditions

    def __call__(self, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        frames, past = sample.shape[1], conditions.past
        count = 0 if past is None else past.shape[1]
        time = timestep[0].double() / 1000
        weight, gain = self._matrices(float(time), frames, count)
        mean = torch.zeros(()).double()
        if past is not None:
            mean = torch.einsum("fp,bp...->bf...", gain, past.double())
        clean = mean + torch.einsum("fg,bg...->bf...", weight, sample.double() - (1 - time) * mean)
        zero = torch.zeros((), dtype=torch.float64)
        return self._process.prediction_between(sample.double(), clean, time, zero).to(sample.dtype)

    def _matrices(self, time: float, frames: int, count: int) -> tuple[Tensor, Tensor]:
        key = (time, frames, count)
        if key not in self._cache:
            index = torch.arange(frames + count)
            whole = correlation(frames + count, self._pole)[(index[:, None] - index).abs()]
            gain = whole[count:, :count] @ torch.linalg.inv(whole[:count, :count])
            given = whole[count:, count:] - gain @ whole[:count, count:]
            a = 1 - time
            # E[x_0 | x_t] of a Gaussian: a C (a² C + t² 1)^-1 (x_t - a m) + m
            noisy = a * a * given + time * time * torch.eye(frames)
            self._cache[key] = (a * given @ torch.linalg.inv(noisy), gain)
        return self._cache[key]
