"""LPIPS, FID and FVD by their reference implementations, when their packages and weights are at hand.

Nothing is downloaded: weights are given by path, and a missing package gives one line that names the extra.
Without them there are the auteur feature and perceptual distances (`face_features`), which are other figures.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError, WeightsError
from auteur.weights import load_file

Floats = NDArray[np.floating]
Pictures = NDArray[np.uint8]

_BATCH = 16


class Lpips:
    """LPIPS (Zhang et al. 2018) with AlexNet, by the authors' `lpips` package.

    Args:
        path: What `safetensors.torch.save_model(lpips.LPIPS(net="alex"), path)` wrote: backbone and linear
            layers.

    Raises:
        UsageError: The package is not installed.
        WeightsError: The weights do not fit.
    """

    def __init__(self, path: Path | str) -> None:
        package = _require("lpips")
        model = package.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
        layers = list(model.lins)  # a second name of lin0, lin1, …, which a file holds once
        del model.lins
        model.lins = layers
        self._model = load_file(model, path)

    @torch.inference_mode()
    def distance(self, generated: Pictures, reference: Pictures) -> Floats:
        """Returns LPIPS [T] of pictures uint8 [T, H, W, 3]; 0 for the same."""
        pairs = zip(_pixels(generated).split(_BATCH), _pixels(reference).split(_BATCH), strict=True)
        parts = [self._model(a / 127.5 - 1, b / 127.5 - 1).flatten() for a, b in pairs]
        return torch.cat(parts).double().numpy()


class Inception:
    """Features for FID: torch-fidelity's Inception-V3, which is TensorFlow's 2015 network with its resize.

    Args:
        path: `weights-inception-2015-12-05-6726825d.pth`, or a file in the same form.

    Raises:
        UsageError: torch-fidelity is not installed.
        WeightsError: The weights cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        package = _require("torch_fidelity", "torch-fidelity")
        if not Path(path).is_file():
            raise WeightsError(f"cannot read the weights {str(path)!r}: there is no such file")
        self._model = package.feature_extractor_inceptionv3.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )

    @torch.inference_mode()
    def features(self, pictures: Pictures) -> Floats:
        """Returns pool features [T, 2048] of pictures uint8 [T, H, W, 3]."""
        parts = [self._model(batch.byte())[0] for batch in _pixels(pictures).split(_BATCH)]
        return torch.cat(parts).double().numpy()


class I3d:
    """Features for FVD: the TorchScript I3D of StyleGAN-V's scorer (`i3d_torchscript.pt`), given by path.

    Raises:
        WeightsError: The file cannot be read.
    """

    frames = 16
    """Frames of one clip."""

    def __init__(self, path: Path | str) -> None:
        try:
            self._model = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{str(path)!r} is no TorchScript network: {reason}") from error

    @torch.inference_mode()
    def features(self, pictures: Pictures) -> Floats:
        """Returns features [T // 16, 400] of the whole 16-frame clips in a video uint8 [T, H, W, 3]."""
        parts: list[Tensor] = []
        for first in range(0, len(pictures) - self.frames + 1, self.frames):
            clip = functional.interpolate(
                _pixels(pictures[first : first + self.frames]), (224, 224), mode="bilinear"
            )
            clip = (clip / 127.5 - 1).permute(1, 0, 2, 3)[None]
            parts.append(self._model(clip, rescale=False, resize=False, return_features=True))
        return torch.cat(parts).double().numpy() if parts else np.zeros((0, 400))


def _pixels(pictures: Pictures) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()


def _require(module: str, package: str | None = None) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{package or module} is not installed; install it with: pip install 'auteur-face[evaluate]'"
        ) from error
    except RuntimeError as error:  # of torchvision, whose operators are compiled against one build of torch
        raise UsageError(
            f"{package or module} cannot be imported: {str(error).splitlines()[0]}; torch and torchvision "
            "must be built alike, for CUDA or for the CPU: install both from one package index"
        ) from error
