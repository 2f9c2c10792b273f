"""A small sync expert: whether lips and speech belong together (GeneFace's, for the sync loss)."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from auteur.signals.topology import INNER_LIPS, OUTER_LIPS

PIECE_FRAMES = 5
"""Frames of mouth and of speech that are compared."""

MOUTH = (*OUTER_LIPS[::2], *INNER_LIPS[::2])
"""Twenty points of the mouth."""


class SyncExpert(nn.Module):
    """Two towers of 1-D convolutions; their cosine is the agreement of five frames of lips and speech."""

    speech_mean: Tensor
    speech_deviation: Tensor

    def __init__(self, *, speech_features: int, width: int = 96) -> None:
        super().__init__()
        self.speech_tower = _tower(speech_features, width)
        self.mouth_tower = _tower(len(MOUTH) * 3, width)
        self.register_buffer("speech_mean", torch.zeros(speech_features))
        self.register_buffer("speech_deviation", torch.ones(speech_features))

    def forward(self, speech: Tensor, mouth: Tensor) -> Tensor:
        """Returns embeddings of speech and mouth pieces, [2, B, pieces, width], unit length.

        Args:
            speech: [B, T, S].
            mouth: Displacement of `MOUTH` [B, T, 20, 3] in millimetres.
        """
        normal = (speech - self.speech_mean) / self.speech_deviation
        lips = mouth.flatten(2) / 5
        towers = (self.speech_tower(normal.transpose(1, 2)), self.mouth_tower(lips.transpose(1, 2)))
        return torch.stack([functional.normalize(t.transpose(1, 2), dim=-1) for t in towers])

    def loss(self, speech: Tensor, mouth: Tensor) -> Tensor:
        """Returns the contrastive loss: each piece against pieces of the same clip at other times."""
        return _contrast(self(speech, mouth))

    def judge(self, speech: Tensor, mouth: Tensor) -> Tensor:
        """Returns the same loss with the expert held fixed, so that only the motion learns from it."""
        fixed = {name: value.detach() for name, value in (*self.named_parameters(), *self.named_buffers())}
        return _contrast(functional_call(self, fixed, (speech, mouth)))


def _tower(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(width_in, width, 3),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.Conv1d(width, width, 3),
    )


def _contrast(embedded: Tensor) -> Tensor:
    """Binary cross-entropy of the cosines (as in Wav2Lip), true pairs against wrong times of a window."""
    speech, mouth = embedded[:, :, ::PIECE_FRAMES]
    logits = 5 * torch.einsum("bpw,bqw->bpq", speech, mouth)
    same = torch.eye(logits.shape[-1]).expand_as(logits)
    weight = same + (1 - same) / (logits.shape[-1] - 1)
    return functional.binary_cross_entropy_with_logits(logits - 1.0, same, weight=weight)
