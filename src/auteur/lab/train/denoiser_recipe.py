"""Settings of the recipe `denoiser`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from auteur.errors import UsageError
from auteur.lab.data.shards import Corpora
from auteur.lab.train.ablations import Ablation, AUChanges, DropoutChanges
from auteur.lab.train.devices import Precision, Tracker
from auteur.lab.train.phases import WarmUpCosine


@dataclass(frozen=True)
class DenoiserRecipe:
    """Settings of the recipe."""

    out: Path
    """Folder of the run: checkpoints, log, and denoiser.safetensors at the end."""
    preset: str = "compact"
    """auhead, emodiffhead, landmark or compact."""
    data: Annotated[Corpora, tyro.conf.arg(name="")] = field(default_factory=Corpora)
    features: tuple[str, ...] = ()
    """Features that hold the clips; unless given, those of the preset's conditions."""
    unet: Path | None = None
    """Stable Diffusion 1.5 folder to start from; the compact preset starts from nothing."""
    motion_adapter: Path | None = None
    """AnimateDiff motion adapter to start from."""
    published: Path | None = None
    """Folder of Hallo or MEMO that `auteur convert` wrote: the au-adapter is trained on it, frozen."""
    au: AUChanges = field(default_factory=AUChanges)
    """Form, window and dropout of the Action Unit conditioner."""
    dropout: DropoutChanges = field(default_factory=DropoutChanges)
    """Of the other conditions."""
    without: tuple[str, ...] = ()
    """Conditioners to leave out, such as audio or reference."""
    process: Literal["ddim", "flow"] | None = None
    """Diffusion process; the preset's unless given."""
    start: tuple[Path, ...] = ()
    """Files with a denoiser or parts of one to start from, such as a base to adapt."""
    steps: tuple[int, ...] = (30_000, 30_000)
    """Steps per phase. Hallo: 30,000 each; AniPortrait: 300,000 and 40,000; MEMO and so AUHead: 20,000."""
    batch_size: tuple[int, ...] = (8, 4)
    """Rows per process and step, per phase. Hallo: 8 and 4."""
    learning_rate: float = 1e-5
    """AUHead: 5e-6 on Hallo, 1e-5 on MEMO; a model from nothing needs about 3e-4."""
    warm_up_steps: int = 100
    last_rate: float = 1.0
    """Share of the learning rate left at the end of a phase, along a cosine; 1 keeps it, as the papers do."""
    time_mean: float = 0.0
    time_deviation: float = 1.0
    """Mean and deviation of the logit of a flow's training times; MEMO: 0 and 1."""
    minutes: tuple[float, ...] = ()
    """Ends a phase after so long if its steps are not done; leave it out if runs must repeat exactly."""
    accumulate: int = 1
    """Batches per step."""
    clip_gradient: float = 1.0
    average_decay: float = 0.999
    weight_decay: float = 0.01
    precision: Precision = "no"
    """Of accelerate: no, bf16 or fp16."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""
    recompute: bool = False
    """Compute feature maps twice to hold fewer of them in memory."""
    augment: bool = False
    """Augment light and camera of clips of pixels."""
    evaluate_every_steps: int = 0
    """Between validations on validation people, with a sheet of pictures; the best weights are kept as
    best.safetensors. 0: never."""
    save_every_steps: int = 1000
    """Between checkpoints."""
    log_every_steps: int = 50
    """Between lines of the log."""
    seed: int = 0
    """All random numbers follow from it."""

    def __post_init__(self) -> None:
        for name in ("accumulate", "save_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise UsageError(f"learning_rate is {self.learning_rate}; it must be more than 0, 1e-5 is usual")
        if not 0 <= self.average_decay < 1:
            raise UsageError(f"average_decay is {self.average_decay}; it must be at least 0 and below 1")
        if min(self.steps, default=0) < 1 or min(self.batch_size, default=0) < 1:
            raise UsageError(f"steps {self.steps} and batch_size {self.batch_size} must be 1 or more")

    @property
    def ablation(self) -> Ablation:
        """What differs from the preset."""
        return Ablation(self.au, self.dropout, self.without, self.process)

    @property
    def rate_factor(self) -> WarmUpCosine:
        """Of the learning rate: a linear warm-up, then constant as in MEMO and Hallo, or along a cosine."""
        return WarmUpCosine(self.warm_up_steps, self.last_rate)


def later(phases: tuple[tuple[str, ...], ...], phase: int) -> tuple[str, ...]:
    """Returns the parts that learn after a phase, but neither in it nor before."""
    taught = {name for names in phases[: phase + 1] for name in names}
    return tuple(name for names in phases[phase + 1 :] for name in names if name not in taught)
