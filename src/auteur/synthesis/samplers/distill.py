"""Progressive distillation: one step of the student reproduces two of the teacher.

Salimans & Ho 2022, arXiv 2202.00512, algorithm 2, for any deterministic process: the student's target is the
prediction whose single step ends where two steps of the teacher end. Halving again and again, 32 steps become
one. The teacher may be guided (Meng et al. 2023, arXiv 2210.03142): the student then needs no guidance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.samplers.process import Predict, Process
from auteur.synthesis.samplers.schedule import check_steps, spread


@dataclass(frozen=True)
class Lesson:
    """Target of a student at one point: [B, ...] each, `time` [B]."""

    sample: Tensor
    time: Tensor
    target: Tensor
    """The prediction to learn."""


def halvings(teacher_steps: int, student_steps: int) -> tuple[int, ...]:
    """Returns the steps of every student, such as 4, 2, 1 for a teacher of 8 and a last student of 1.

    Raises:
        UsageError: A number of steps is out of range, or the teacher's is not 2, 4, 8, … times the student's.
    """
    stages: list[int] = []
    steps = check_steps(teacher_steps)
    check_steps(student_steps)
    while steps > student_steps and steps % 2 == 0:
        steps //= 2
        stages.append(steps)
    if steps != student_steps or not stages:
        raise UsageError(
            f"cannot halve {teacher_steps} steps down to {student_steps}; "
            "choose a teacher with 2, 4, 8, … times the student's steps"
        )
    return tuple(stages)


def draw_student_times(count: int, student_steps: int, generator: torch.Generator) -> Tensor:
    """Returns times at which the student starts a step, float64 [count]."""
    index = torch.randint(1, check_steps(student_steps) + 1, (count,), generator=generator)
    return index.to(torch.float64) / student_steps


@torch.no_grad()
def lesson(
    process: Process, teacher: Predict, clean: Tensor, noise: Tensor, time: Tensor, student_steps: int
) -> Lesson:
    """Returns the student's target at `time`: the end of two teacher steps of half the size.

    Args:
        process: Of teacher and student alike.
        teacher: The network that takes 2 · `student_steps` steps, with the same conditions as the student.
        clean: Data, [B, ...].
        noise: [B, ...].
        time: From `draw_student_times`, [B].
        student_steps: Of the student.
    """
    middle, end = time - 0.5 / student_steps, time - 1.0 / student_steps
    end = torch.where(end < 1e-9, torch.zeros_like(end), end)
    sample = process.noised(clean, noise, time)
    halfway = process.step(sample, teacher(sample, _rows(process, time, sample)), time, middle)
    there = process.step(halfway, teacher(halfway, _rows(process, middle, sample)), middle, end)
    return Lesson(sample, time, process.prediction_between(sample, there, time, end))


def distillation_loss(process: Process, prediction: Tensor, given: Lesson) -> Tensor:
    """Returns the mean ‖v - v̂‖² of the student, weighted by max(SNR, 1) / (SNR + 1), [].

    For diffusion this is the paper's "truncated SNR" weight max(SNR, 1) of errors of x_0, written for errors
    of v; for a flow the same weight is our choice.
    """
    snr = process.snr(given.time).clamp(max=1e8)
    rows = (prediction.float() - given.target.float()).square().flatten(1).mean(1)
    return (spread(snr.clamp(min=1.0) / (snr + 1), rows) * rows).mean()


def _rows(process: Process, time: Tensor, like: Tensor) -> Tensor:
    return process.model_time(time).to(like.device, like.dtype)
