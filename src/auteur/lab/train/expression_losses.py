"""Losses of paper B's expression generator: of its discriminators, and distances from people."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.generator.discriminators import (
    FrameDiscriminator,
    SequenceDiscriminator,
    discriminator_loss,
    generator_loss,
)
from auteur.expression.generator.network import (
    LABELS,
    NOISE_MEMORY,
    ExpressionGenerator,
    Request,
    smooth_noise,
)

Batch = dict[str, Tensor]

GUESSES = 2
"""Noises per real window; the nearest is compared with it (variety loss; Gupta et al., "Social GAN", 2018),
so that the generator need not give the mean of people."""
_PATTERN_FRAMES = (1, 6)
"""Spans in frames over which the amount of movement is compared with people's."""


class Judges(nn.Module):
    """The two discriminators and the emotion classifier that training needs."""

    def __init__(self, expression: int) -> None:
        super().__init__()
        self.frame = FrameDiscriminator(expression)
        self.sequence = SequenceDiscriminator(expression)
        self.emotion = nn.Linear(expression, len(LABELS) - 1)

    def loss(self, real: Tensor, made: Tensor, batch: Batch) -> Tensor:
        """Returns the loss of the discriminators; vectors [B, T, E] are in units of the generator's scale."""
        condition = (batch["label"], batch["intensity"])
        known = _is_emotional(batch)
        loss = discriminator_loss(self.frame(real, *condition), self.frame(made, *condition))
        loss = loss + discriminator_loss(self.sequence(real, *condition), self.sequence(made, *condition))
        return loss + self.emotion_loss(real[known], batch["label"][known])

    def emotion_loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        """Returns the cross entropy of the emotion in the mean of trajectories [N, T, E]; 0 for none."""
        if not len(label):
            return vectors.sum() * 0
        return functional.cross_entropy(self.emotion(vectors.mean(dim=1)), label)


def _is_emotional(batch: Batch) -> Tensor:
    return (batch["intensity"] > 0.5) & (batch["label"] < len(LABELS) - 1)


def random_request(generator: ExpressionGenerator, batch: Batch) -> Request:
    """Returns the batch's conditions with fresh noise."""
    config, (size, frames) = generator.config, batch["vectors"].shape[:2]
    device = batch["vectors"].device
    return Request(
        label=batch["label"],
        intensity=batch["intensity"],
        noise=torch.randn(size, config.noise, device=device),
        frame_noise=smooth_noise(torch.randn(size, frames + NOISE_MEMORY, config.frame_noise, device=device)),
        speech=batch["speech"],
        heard=batch["heard"],
    )


def nearest_of(guesses: list[Tensor], real: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the sample nearest to each real window and its distances [B, T, E], both in real units."""
    errors = torch.stack([(guess - real).abs() * inside[..., None] for guess in guesses])
    best = errors.mean(dim=(2, 3)).argmin(dim=0)
    rows = torch.arange(len(real), device=real.device)
    return torch.stack(guesses)[best, rows], errors[best, rows]


def movement_loss(made: Tensor, real: Tensor) -> Tensor:
    """Returns the mean |log ratio| of the amount of movement to people's.

    Per number: its deviation within a window, and its movement over two spans of time. Absolute
    errors alone would be smallest for a face that hardly moves.
    """
    ratios = [_log_size(made - made.mean(1, keepdim=True)) - _log_size(real - real.mean(1, keepdim=True))]
    for span in _PATTERN_FRAMES:
        ratios.append(
            _log_size(made[:, span:] - made[:, :-span]) - _log_size(real[:, span:] - real[:, :-span])
        )
    return torch.stack(ratios).abs().mean()


def _log_size(values: Tensor) -> Tensor:
    """Log of the root mean square of every number, [E]."""
    return 0.5 * (values.square().mean((0, 1)) + 1e-6).log()


def generator_losses(generator: ExpressionGenerator, judges: Judges, batch: Batch) -> dict[str, Tensor]:
    """Returns each term of the generator's loss, not yet weighted."""
    scale = generator.scale
    real, inside = batch["vectors"] / scale, batch["inside"]
    guesses = [generator(random_request(generator, batch)) / scale for _ in range(GUESSES)]
    best, error = nearest_of(guesses, real, inside)
    velocity = (torch.diff(best, dim=1) - torch.diff(real, dim=1)).abs() * inside[:, 1:, None]
    made, condition, known = guesses[0], (batch["label"], batch["intensity"]), _is_emotional(batch)
    return {
        "reconstruction": error.mean(),
        "velocity": velocity.mean(),
        "emotion": judges.emotion_loss(made[known], batch["label"][known]),
        "movement": movement_loss(made, real),
        "frame": generator_loss(judges.frame(made, *condition)),
        "sequence": generator_loss(judges.sequence(made, *condition)),
    }
