"""The denoiser: noisy video, time and conditions in, prediction out.

Axes: B batch, F frames, C channels, H and W of the sample, h and w of a feature map, N = B · F.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from auteur.errors import UsageError
from auteur.synthesis.conditioners.au import AUConditioner
from auteur.synthesis.conditioners.audio import AudioConditioner
from auteur.synthesis.conditioners.expression import ExpressionConditioner
from auteur.synthesis.conditioners.identity import IdentityConditioner
from auteur.synthesis.conditioners.landmarks import LandmarksConditioner
from auteur.synthesis.conditioners.layers import null, per_frame
from auteur.synthesis.conditioners.past import PastConditioner
from auteur.synthesis.conditioners.reference import ReferenceAttention, ReferenceConditioner
from auteur.synthesis.conditioners.warped import WarpedConditioner
from auteur.synthesis.conditions import Conditions, ReferenceFeatures
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.finish import Finish
from auteur.synthesis.denoiser.precondition import frame
from auteur.synthesis.denoiser.temporal import TemporalLayers
from auteur.synthesis.denoiser.unet import entries_of, places_of, residual_block, walk


@dataclass(frozen=True)
class _Codes:
    """Conditions of one pass, encoded; None where there is no conditioner."""

    frames: int
    time: Tensor
    """[N, T]."""
    context: Tensor | None
    """[N, tokens, width]."""
    expression: Tensor | None
    reference: dict[str, Tensor] | None
    audio: tuple[Tensor, Tensor | None] | None
    au: Tensor | None
    past: dict[str, Tensor] | None


class VideoDenoiser(nn.Module):
    """A UNet with motion modules and conditioners; `Denoiser` of `synthesis.conditions`."""

    def __init__(
        self,
        config: DenoiserConfig,
        unet: Any,
        *,
        temporal: TemporalLayers | None = None,
        reference_unet: Any = None,
    ) -> None:
        """Joins the parts; `denoiser.builder` makes them."""
        super().__init__()
        self.config = config
        self.unet = unet
        self.temporal = temporal
        self.checkpointing = False
        """Whether training computes feature maps twice to hold fewer of them in memory."""
        self.finish = None
        if config.finish is not None:
            self.finish = Finish(
                config.finish, channels=config.channels, sees_warped=config.warped is not None
            )
        width = config.unet.context_width
        self.context = None if width is None else null(config.unet.context_tokens, width)
        self.plugs = nn.ModuleDict(_plugs(config, unet, reference_unet))
        for one in (unet, reference_unet):
            if one is not None:
                for module in one.modules():
                    if type(module).__name__ == "Attention":
                        module.set_processor(ReferenceAttention())

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Conditions that it has a conditioner for."""
        return self.config.condition_names

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.unet.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of its parameters."""
        return self.unet.conv_in.weight.dtype

    def reference_features(self, portrait: Tensor) -> ReferenceFeatures:
        """Returns what `Conditions.reference` may hold in place of a portrait [B, C, H, W], computed once.

        Raises:
            UsageError: There is no ReferenceNet, or the portrait does not fit.
        """
        if "reference" not in self.plugs:
            raise UsageError("this model has no ReferenceNet; it takes no reference")
        self._check_size(portrait, "reference", 4)
        return self._plug("reference").features(portrait.to(self.device, self.dtype), self._base_context(1))

    def prepare(self, conditions: Conditions) -> Conditions:
        """Returns the same conditions with portrait and past frames encoded, for use in many steps.

        Raises:
            UsageError: There is no ReferenceNet for them, or they do not fit.
        """
        encoded: dict[str, ReferenceFeatures] = {}
        if isinstance(conditions.reference, Tensor):
            encoded["reference"] = self.reference_features(conditions.reference)
        if isinstance(conditions.past, Tensor):
            self._check_size(conditions.past, "past", 5)
            seen = self.reference_features(conditions.past.flatten(0, 1))
            shape = conditions.past.shape[:2]
            encoded["past"] = ReferenceFeatures({n: t.unflatten(0, shape) for n, t in seen.layers.items()})
        return replace(conditions, **encoded)

    def forward(self, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Returns the prediction for a noisy sample, both [B, F, C, H, W], at `timestep` [B] or scalar.

        Raises:
            UsageError: A condition is given that there is no conditioner for, or shapes do not fit.
        """
        self._check(sample, conditions)
        rows, frames = sample.shape[:2]
        conditions = conditions.to(self.device, self.dtype)
        timestep = torch.as_tensor(timestep, device=self.device).expand(rows)
        scaled = frame(self.config, sample, timestep, conditions)
        pixels = rearrange(sample if scaled is None else scaled.network_input, "b f c h w -> (b f) c h w")
        hidden = self.unet.conv_in(functional.pixel_unshuffle(pixels, self.config.patch))
        if "warped" in self.plugs:
            hidden = self.plugs["warped"](hidden, conditions, sample.shape)
        codes = self._encode(conditions, timestep, sample.shape)
        maps: list[Tensor] | None = None
        if "landmarks" in self.plugs:
            size = (hidden.shape[-2], hidden.shape[-1])
            maps = self._plug("landmarks").encode(conditions, rows, frames, size)

        def layer(place: str, resnet: nn.Module, attention: nn.Module | None, hidden: Tensor) -> Tensor:
            if self.checkpointing and torch.is_grad_enabled():
                result = checkpoint(self._layer, place, resnet, attention, hidden, codes, use_reentrant=False)
                assert isinstance(result, Tensor)  # noqa: S101 - for the type checker
                return result
            return self._layer(place, resnet, attention, hidden, codes)

        def enter(index: int, hidden: Tensor) -> Tensor:
            return hidden if maps is None else hidden + maps[index]

        hidden = walk(self.unet, hidden, layer, enter=enter)
        answer = self.unet.conv_out(self.unet.conv_act(self.unet.conv_norm_out(hidden)))
        answer = functional.pixel_shuffle(answer, self.config.patch).unflatten(0, (rows, frames))
        if self.finish is not None:
            answer = self.finish(answer, conditions)
        return answer if scaled is None else scaled.prediction(answer)

    def _layer(self, place: str, resnet: nn.Module, attention: Any, hidden: Tensor, codes: _Codes) -> Tensor:
        """One layer of the UNet and what acts there."""
        scale_shift = None
        if codes.expression is not None:  # paper B: the conditional residual block
            scale_shift = self.plugs["expression"](place, codes.expression)
        hidden = residual_block(resnet, hidden, codes.time, scale_shift)
        if attention is not None:  # self-attention with the portrait's pixels appended, then the context
            appended: dict[str, Any] = {}
            if "reference" in self.plugs:
                appended = self._plug("reference").at(place, hidden, codes.reference, codes.frames)
            hidden = attention(hidden, codes.context, cross_attention_kwargs=appended, return_dict=False)[0]
        if codes.audio is not None:  # Hallo: pose, face and lips
            hidden = self.plugs["audio"](place, hidden, codes.audio)
        if codes.au is not None:  # paper A, Eq. 5
            hidden = self.plugs["au"](place, hidden, codes.au)
        if self.temporal is not None:
            hidden = self.temporal(place, hidden, codes.frames)
        if "past" in self.plugs:
            hidden = self.plugs["past"](place, hidden, codes.past, codes.frames)
        return hidden

    def _encode(self, conditions: Conditions, timestep: Tensor, shape: torch.Size) -> _Codes:
        rows, frames = shape[:2]
        time = self.unet.time_embedding(self.unet.time_proj(timestep).to(self.dtype))
        time = per_frame(time, frames)
        context = self._base_context(rows)
        if context is not None and "identity" in self.plugs:
            context = self.plugs["identity"](self.context, conditions, rows)
        expression = reference = audio = au = past = None
        if "expression" in self.plugs:
            expression = self._plug("expression").encode(conditions, time, frames)
        if "reference" in self.plugs:
            reference = self._plug("reference").encode(conditions, self._base_context(1), tuple(shape))
        if "audio" in self.plugs:
            audio = self._plug("audio").encode(conditions, rows, frames)
        if "au" in self.plugs:
            au = self._plug("au").encode(conditions, rows, frames)
        if conditions.past is not None:
            seen = self.prepare(Conditions(past=conditions.past)).past
            past = self._plug("past").encode(conditions, seen)
        return _Codes(
            frames=frames,
            time=time,
            context=None if context is None else per_frame(context, frames),
            expression=expression,
            reference=reference,
            audio=audio,
            au=au,
            past=past,
        )

    def _base_context(self, rows: int) -> Tensor | None:
        return None if self.context is None else self.context.expand(rows, -1, -1)

    def _plug(self, name: str) -> Any:
        return self.plugs[name]

    def _check(self, sample: Tensor, conditions: Conditions) -> None:
        self._check_size(sample, "sample", 5)
        if extra := [name for name in conditions.names if name not in self.condition_names]:
            raise UsageError(
                f"this model takes no {', '.join(extra)}; "
                f"it takes {', '.join(self.condition_names) or 'no conditions'}"
            )
        if conditions.rows not in (None, sample.shape[0]):
            raise UsageError(f"{conditions.rows} rows of conditions for {sample.shape[0]} rows of sample")
        for name, given in (("warped", conditions.warped), ("past", conditions.past)):
            if isinstance(given, Tensor):
                self._plug(name).check(given, tuple(sample.shape))

    def _check_size(self, tensor: Tensor, name: str, axes: int) -> None:
        channels, multiple = self.config.channels, self.config.size_multiple
        fits = tensor.ndim == axes and tensor.shape[-3] == channels
        if not fits or tensor.shape[-1] % multiple or tensor.shape[-2] % multiple:
            frames = "F, " if axes == 5 else ""
            raise UsageError(
                f"the {name} has shape {list(tensor.shape)}; it must be [B, {frames}{channels}, H, W] "
                f"with H and W multiples of {multiple}"
            )


def _plugs(config: DenoiserConfig, unet: Any, reference_unet: Any) -> dict[str, nn.Module]:
    places, groups = places_of(unet), config.unet.groups
    width = unet.conv_in.out_channels
    plugs: dict[str, nn.Module] = {}
    if config.reference is not None:
        plugs["reference"] = ReferenceConditioner(
            config.reference, reference_unet, places, patch=config.patch
        )
    if config.identity is not None:
        plugs["identity"] = IdentityConditioner(
            config.identity, tokens=config.unet.context_tokens, width=config.unet.context_width or 0
        )
    if config.warped is not None:
        plugs["warped"] = WarpedConditioner(
            config.warped, channels=config.channels, patch=config.patch, width=width
        )
    if config.landmarks is not None:
        plugs["landmarks"] = LandmarksConditioner(config.landmarks, entries_of(unet), groups=groups)
    if config.au is not None:
        plugs["au"] = AUConditioner(config.au, places, groups=groups)
    if config.expression is not None:
        plugs["expression"] = ExpressionConditioner(
            config.expression, places, time_width=unet.time_embedding.linear_2.out_features
        )
    if config.audio is not None:
        plugs["audio"] = AudioConditioner(config.audio, places, groups=groups)
    if config.past is not None:
        plugs["past"] = PastConditioner(config.past, places, groups=groups)
    return plugs
