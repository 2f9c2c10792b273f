"""The denoiser: noisy video, time and conditions in, prediction out.

Axes: B batch, F frames, C channels, H and W of the sample, h and w of a feature map, N = B · F.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import Conditioner, Entry, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import null, per_frame
from auteur.synthesis.conditioners.reference import ReferenceConditioner, set_attention_processors
from auteur.synthesis.conditioners.registry import CONDITIONERS
from auteur.synthesis.conditions import Conditions, ReferenceFeatures
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.preconditioner import Preconditioner
from auteur.synthesis.denoiser.seam_refiner import SeamRefiner
from auteur.synthesis.denoiser.temporal import TemporalLayers
from auteur.synthesis.denoiser.unet import entries_of, places_of, residual_block, walk


@dataclass(frozen=True)
class _Pass:
    """Values that all layers of one pass share."""

    size: SampleSize
    time: Tensor
    """[N, T]."""
    context: Tensor | None
    """[N, tokens, width]."""
    codes: Mapping[str, Any]
    """Encoded conditions, by conditioner."""


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
        network = config.network
        self.finish = None
        if network.finish is not None:
            sees_warped = "warped" in network.conditioners
            self.finish = SeamRefiner(network.finish, channels=network.channels, sees_warped=sees_warped)
        width = network.unet.context_width
        self.context = None if width is None else null(network.unet.context_tokens, width)
        shape = NetworkShape(
            places=places_of(unet),
            entries=entries_of(unet),
            channels=network.channels,
            patch=network.patch,
            groups=network.unet.groups,
            time_width=unet.time_embedding.linear_2.out_features,
            context_tokens=network.unet.context_tokens,
            context_width=width,
            reference_unet=reference_unet,
        )
        self.conditioners = nn.ModuleDict(
            {name: CONDITIONERS[name].build(one, shape) for name, one in network.conditioners.items()}
        )
        for one in (unet, reference_unet):
            if one is not None:
                set_attention_processors(one)

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Conditions that it has a conditioner for."""
        return self.config.condition_names

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
        return self.unet.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of its parameters."""
        return self.unet.conv_in.weight.dtype

    def reference_features(self, portrait: Tensor) -> ReferenceFeatures:
        """Returns the features that `Conditions.reference` may hold in place of a portrait [B, C, H, W].

        Raises:
            UsageError: There is no ReferenceNet, or the portrait does not fit.
        """
        if "reference" not in self.conditioners:
            raise UsageError("this model has no ReferenceNet; it takes no reference")
        self._check_size(portrait, "reference", 4)
        reader = self.conditioners["reference"]
        assert isinstance(reader, ReferenceConditioner)  # noqa: S101 - for the type checker
        return reader.features(portrait.to(self.device, self.dtype), self._base_context(1))

    def prepare(self, conditions: Conditions) -> Conditions:
        """Returns the same conditions with portrait and past frames encoded, for use in many steps.

        Raises:
            UsageError: There is no conditioner for one of them, or they do not fit.
        """
        self._refuse_unknown(conditions)
        encoded = {
            name: self._conditioner(name).prepare(value, self.reference_features)
            for name in conditions.names
            if isinstance(value := conditions.tensors[name], Tensor)
        }
        return conditions.replace(**encoded)

    def forward(self, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Returns the prediction for a noisy sample, both [B, F, C, H, W], at `timestep` [B] or scalar.

        Raises:
            UsageError: A condition is given that there is no conditioner for, or shapes do not fit.
        """
        self._check(sample, conditions)
        conditions = self.prepare(conditions.to(self.device, self.dtype))
        timestep = torch.as_tensor(timestep, device=self.device).expand(len(sample))

        def answer_to(network_input: Tensor) -> Tensor:
            return self._answer(network_input, timestep, conditions)

        return Preconditioner(self.config.diffusion)(answer_to, sample, timestep, conditions)

    def _answer(self, network_input: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """The network's own output for its input, both [B, F, C, H, W]."""
        size, patch = self._size(network_input), self.config.network.patch
        pixels = functional.pixel_unshuffle(network_input.flatten(0, 1), patch)
        time = self.unet.time_embedding(self.unet.time_proj(timestep).to(self.dtype))
        time = per_frame(time, size.frames)
        codes = {
            name: self._conditioner(name).encode(conditions.of(CONDITIONERS[name]), size, time)
            for name in self.conditioners
        }
        context = self._base_context(size.rows)
        if context is not None:
            context = per_frame(self._enter(Entry.CONTEXT, "", context, codes), size.frames)
        now = _Pass(size, time, context, codes)

        def layer(place: str, resnet: nn.Module, attention: nn.Module | None, hidden: Tensor) -> Tensor:
            arguments = (place, resnet, attention, hidden, now)
            if self.checkpointing and torch.is_grad_enabled():
                result = checkpoint(self._layer, *arguments, use_reentrant=False)
                assert isinstance(result, Tensor)  # noqa: S101 - for the type checker
                return result
            return self._layer(*arguments)

        def enter(index: int, hidden: Tensor) -> Tensor:
            return self._enter(Entry.LEVEL, str(index), hidden, codes)

        hidden = self._enter(Entry.INPUT, "", self.unet.conv_in(pixels), codes)
        hidden = walk(self.unet, hidden, layer, enter=enter)
        answer = self.unet.conv_out(self.unet.conv_act(self.unet.conv_norm_out(hidden)))
        answer = functional.pixel_shuffle(answer, patch).unflatten(0, (size.rows, size.frames))
        return answer if self.finish is None else self.finish(answer, conditions)

    def _layer(self, place: str, resnet: nn.Module, attention: Any, hidden: Tensor, now: _Pass) -> Tensor:
        """One layer of the UNet and the conditioners that enter there."""
        scale_shift = self._enter(Entry.RESIDUAL, place, None, now.codes)
        hidden = residual_block(resnet, hidden, now.time, scale_shift)
        if attention is not None:
            arguments = self._enter(Entry.SELF_ATTENTION, place, {}, now.codes)
            hidden = attention(hidden, now.context, cross_attention_kwargs=arguments, return_dict=False)[0]
        hidden = self._enter(Entry.CROSS_ATTENTION, place, hidden, now.codes)
        hidden = self._enter(Entry.ADAPTER, place, hidden, now.codes)
        if self.temporal is not None:
            hidden = self.temporal(place, hidden, now.size.frames)
        return self._enter(Entry.AFTER_MOTION, place, hidden, now.codes)

    def _enter(self, entry: Entry, place: str, value: Any, codes: Mapping[str, Any]) -> Any:
        """The value of an entry after all conditioners that enter there."""
        for name, conditioner in self.conditioners.items():
            if CONDITIONERS[name].entry is entry:
                value = conditioner(place, value, codes[name])
        return value

    def _base_context(self, rows: int) -> Tensor | None:
        return None if self.context is None else self.context.expand(rows, -1, -1)

    def _conditioner(self, name: str) -> Conditioner:
        found = self.conditioners[name]
        assert isinstance(found, Conditioner)  # noqa: S101 - for the type checker
        return found

    def _size(self, sample: Tensor) -> SampleSize:
        rows, frames, channels, height, width = sample.shape
        return SampleSize(rows, frames, channels, height, width, self.config.network.patch)

    def _check(self, sample: Tensor, conditions: Conditions) -> None:
        self._check_size(sample, "sample", 5)
        self._refuse_unknown(conditions)
        if conditions.rows not in (None, sample.shape[0]):
            raise UsageError(f"{conditions.rows} rows of conditions for {sample.shape[0]} rows of sample")
        for name in self.conditioners:
            self._conditioner(name).check(conditions.of(CONDITIONERS[name]), self._size(sample))

    def _refuse_unknown(self, conditions: Conditions) -> None:
        if extra := [name for name in conditions.names if name not in self.condition_names]:
            raise UsageError(
                f"this model takes no {', '.join(extra)}; "
                f"it takes {', '.join(self.condition_names) or 'no conditions'}"
            )

    def _check_size(self, tensor: Tensor, name: str, axes: int) -> None:
        channels, multiple = self.config.network.channels, self.config.size_multiple
        fits = tensor.ndim == axes and tensor.shape[-3] == channels
        if not fits or tensor.shape[-1] % multiple or tensor.shape[-2] % multiple:
            frames = "F, " if axes == 5 else ""
            raise UsageError(
                f"the {name} has shape {list(tensor.shape)}; it must be [B, {frames}{channels}, H, W] "
                f"with H and W multiples of {multiple}"
            )
