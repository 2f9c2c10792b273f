"""Long videos, window by window: memory does not grow with length, and windows join without a seam.

A window is conditioned on the last frames of the one before (`past`), and may overlap with it. Where they
overlap, every step pulls the new window's clean prediction towards the finished frames, less and less towards
its inside. Windows lie on a fixed grid and noise is keyed by frame, so a frame does not depend on the number
of frames taken at once, on the other videos of a batch, or on where a broken run was resumed. (Only the last
window is cut short by the end of the video.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.conditions import Conditions, Denoiser
from auteur.synthesis.guidance import Guidance, check_supported, guided_prediction
from auteur.synthesis.noise import video_noise
from auteur.synthesis.samplers.process import OnStep, Predict, Process, model_times
from auteur.synthesis.samplers.schedule import check_steps, trailing_times

ConditionsOf = Callable[[int, int], Conditions]
"""(first frame, frame after the last) → the conditions of these frames, without `past`."""


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """Windows of a video and settings of their denoising."""

    frames: int = 16
    """Frames per window; memory grows with it."""
    past: int = 2
    """Finished frames that condition the next window."""
    overlap: int = 0
    """Frames that neighbouring windows share; each costs its share of time once more."""
    steps: int = 4
    """Steps of the sampler, per window."""
    guidance: Guidance = field(default_factory=Guidance)
    evaluations_at_once: bool = True
    """Whether guidance evaluates all its terms in one pass, which is faster and needs more memory."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        if self.frames < 1:
            raise UsageError(f"the window has {self.frames} frames; it must have 1 or more")
        if not 0 <= self.past <= self.frames:
            raise UsageError(
                f"past is {self.past}; it must be between 0 and the window's {self.frames} frames"
            )
        most = self.frames - max(self.past, 1)
        if not 0 <= self.overlap <= most:
            raise UsageError(
                f"overlap is {self.overlap}; with windows of {self.frames} frames and {self.past} past "
                f"frames it must be between 0 and {most}"
            )

    @property
    def stride(self) -> int:
        """From one window's first frame to the next's."""
        return self.frames - self.overlap

    def window_count(self, frames: int) -> int:
        """Returns the number of windows of a video of so many frames."""
        return 1 + max(0, -(-(frames - self.frames) // self.stride))


@dataclass(frozen=True)
class WindowState:
    """State after a piece, from which generation resumes; of constant size."""

    window: int
    """Number of the next window."""
    past: Tensor | None
    """The last finished frames, [B, P, C, H, W]."""
    shared: Tensor | None
    """Frames of the last window that the next one shares, [B, overlap, C, H, W]."""


@dataclass(frozen=True)
class Piece:
    """Finished frames in the space of the sample."""

    first: int
    frames: Tensor
    """[B, f, C, H, W]."""
    state: WindowState
    """State for `generate(resume=…)` to continue from here."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """The video to generate.

    Attributes:
        frames: Number of frames.
        shape: C, H, W of the sample.
        seeds: One per row of the batch.
        first_past: Frames before the first one, such as the portrait repeated, [B, P, C, H, W];
            None: the network's null.
        noise_common: Share of the noise that its frames have in common, in [0, 1].
    """

    frames: int
    shape: tuple[int, int, int]
    seeds: tuple[int, ...] = (0,)
    first_past: Tensor | None = None
    noise_common: float = 0.0

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UsageError(f"the video has {self.frames} frames; it must have 1 or more")
        if not self.seeds:
            raise UsageError("a video needs a seed; give one per row of the batch")


def generate(
    denoiser: Denoiser,
    conditions_of: ConditionsOf,
    video: Video,
    *,
    process: Process,
    settings: WindowSettings,
    resume: WindowState | None = None,
    on_step: OnStep | None = None,
) -> Iterator[Piece]:
    """Yields the video piece by piece; a piece is computed when it is read.

    Args:
        denoiser: The network.
        conditions_of: Called once per window.
        video: Length, shape and seeds.
        process: What the network was trained on.
        settings: Windows, steps and guidance.
        resume: State after the last existing piece; None: from the start.
        on_step: Called after each denoising step with (done, total). Raise to cancel.

    Raises:
        UsageError: The network has no conditioner for what is guided, or memory does not suffice; the message
            names what to lower.
    """
    check_supported(denoiser, settings.guidance)
    count = settings.window_count(video.frames)
    state = resume or WindowState(0, video.first_past, None)
    for index in range(state.window, count):
        first = index * settings.stride
        stop = min(first + settings.frames, video.frames)
        done = index * settings.steps

        def report(step: int, _: int, done: int = done) -> None:
            if on_step:
                on_step(done + step, count * settings.steps)

        with explained_memory(settings, video.shape), torch.no_grad():
            made = _window(denoiser, conditions_of, (first, stop), video, process, settings, state, report)
        final = index == count - 1
        kept = made if final else made[:, : settings.stride]
        state = WindowState(
            index + 1,
            _last(kept, state.past, settings.past),
            None if final or settings.overlap == 0 else made[:, settings.stride :].clone(),
        )
        yield Piece(first, kept, state)


def _window(
    denoiser: Denoiser,
    conditions_of: ConditionsOf,
    span: tuple[int, int],
    video: Video,
    process: Process,
    settings: WindowSettings,
    state: WindowState,
    on_step: OnStep,
) -> Tensor:
    conditions = conditions_of(*span)
    if settings.past and state.past is not None and "past" in denoiser.condition_names:
        conditions = conditions.replace(past=state.past.to(denoiser.device, denoiser.dtype))
    conditions = denoiser.prepare(conditions)  # once, not in every step
    predict = guided_prediction(denoiser, conditions, settings.guidance, at_once=settings.evaluations_at_once)
    noise = video_noise(video.seeds, *span, video.shape, common=video.noise_common).to(denoiser.device)
    return denoise_joined(process, predict, noise, settings.steps, shared=state.shared, on_step=on_step)


def denoise_joined(
    process: Process,
    predict: Predict,
    noise: Tensor,
    steps: int,
    *,
    shared: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Returns frames [B, F, C, H, W] from noise, the first of which join the finished frames `shared`.

    Args:
        process: What the network was trained on.
        predict: The network with its conditions and guidance.
        noise: The sample at time 1.
        steps: 1 to 1000.
        shared: Finished frames that these ones overlap with, [B, O, C, H, W], O at most F.
        on_step: Called after each step with (done, total).
    """
    times = trailing_times(steps)
    now, zero = noise, torch.zeros((), dtype=torch.float64)
    for index in range(steps):
        time, next_time = times[index], times[index + 1]
        rows = model_times(process, time, now)
        prediction = predict(now, rows)
        if shared is not None:
            clean = process.clean(now, prediction, time)
            clean = torch.cat(
                [crossfade(shared, clean[:, : shared.shape[1]]), clean[:, shared.shape[1] :]], 1
            )
            prediction = process.prediction_between(now, clean, time, zero)
        now = process.step(now, prediction, time, next_time)
        if on_step:
            on_step(index + 1, steps)
    return now


def crossfade(before: Tensor, after: Tensor) -> Tensor:
    """Returns frames [B, O, …] cross-faded from `before` to `after` along a half cosine."""
    count = before.shape[1]
    place = (torch.arange(count, dtype=torch.float64) + 1) / (count + 1)
    share = (0.5 - 0.5 * torch.cos(torch.pi * place)).to(before.device, before.dtype)
    return torch.lerp(before, after[:, :count], share.reshape(1, -1, *([1] * (before.ndim - 2))))


@contextmanager
def explained_memory(settings: WindowSettings, shape: tuple[int, int, int]) -> Iterator[None]:
    """Turns running out of memory into an error that names the setting to lower.

    Raises:
        UsageError: Memory did not suffice.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_about_memory(error):
            raise
        evaluations = len(settings.guidance.terms()) if settings.evaluations_at_once else 1
        advice = f"lower the window from {settings.frames} frames (at least 1)"
        if evaluations > 1:
            advice += f", evaluate the {evaluations} terms of guidance one after the other, set guidance to 1"
        raise UsageError(
            f"out of memory with {evaluations} x {settings.frames} frames of {shape[2]} x {shape[1]}: "
            f"{advice}, or choose a smaller preset"
        ) from error


def _is_about_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error).lower()
    return "can't allocate memory" in message or "out of memory" in message or "not enough memory" in message


def _last(frames: Tensor, before: Tensor | None, count: int) -> Tensor | None:
    """The last `count` finished frames; what came before fills up a piece that is too short."""
    if count == 0:
        return None
    if frames.shape[1] < count and before is not None:
        frames = torch.cat([before, frames], dim=1)
    return frames[:, -count:].clone()
