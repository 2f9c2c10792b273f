"""AU guidance of the motion: the same scale as in the denoiser, applied to intensities.

Disentanglement guidance (AUHead, arXiv 2602.09534, eq. 6) raises p(face | AU)^s in the denoiser. A denoiser
that is conditioned on the warp, as the compact one, takes the position of a brow from it; there guidance must
act on the landmarks. Extrapolating displacements by s would tear faces apart at its usual values. Here an
intensity i is the probability that the unit is seen in one observation; in s independent ones it is

    i' = 1 - (1 - i)^s,

which is i at s = 1, rises with s, never passes 1, and keeps 0 at 0.
"""

import numpy as np

from auteur.signals import AUTrack


def guided_track(track: AUTrack | None, scale: float) -> AUTrack | None:
    """Returns a track of the convention "facs" with AU guidance; missing values and None stay as they are.

    Args:
        track: Intensities.
        scale: 0 (none), 1 (unchanged) or more.
    """
    if track is None or scale == 1:
        return track
    values = 1 - (1 - np.clip(track.values, 0, 1)) ** scale
    return track.replace(values=values.astype(track.values.dtype))
