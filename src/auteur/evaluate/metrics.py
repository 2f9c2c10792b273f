"""Every figure of a report: name, unit, better direction and source."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "real"]
"""Better direction; "real": nearer to the real video's value."""


@dataclass(frozen=True)
class Metric:
    """One figure per clip."""

    name: str
    """Key in JSON and CSV."""
    title: str
    unit: str
    better: Better
    decimals: int
    about: str
    """Its measure and the source of its definition."""


METRICS: tuple[Metric, ...] = (
    Metric("face_rate", "face seen", "share", "higher", 3, "Frames in which the tracker finds a face."),
    Metric("psnr", "PSNR", "dB", "higher", 2, "scikit-image's definition; equal pictures count 60 dB."),
    Metric("ssim", "SSIM", "", "higher", 3, "scikit-image's definition and defaults, mean over channels."),
    Metric("mouth_ssim", "SSIM, mouth", "", "higher", 3, "SSIM inside the real mouth's square."),
    Metric(
        "mouth_sharpness", "mouth sharpness", "× real", "real", 2,
        "Mean absolute Laplacian in the mouth's square, as a ratio to the real video's: 1 is as sharp.",
    ),
    Metric(
        "perceptual", "auteur perceptual distance", "", "lower", 3,
        "As LPIPS, on our landmarker's features; not LPIPS.",
    ),
    Metric("lpips", "LPIPS", "", "lower", 3, "Zhang et al. 2018, AlexNet, authors' package, given weights."),
    Metric("m_lmd", "M-LMD", "px", "lower", 2, "EAT's: 20 mouth points, mean-centred, not scaled."),
    Metric("f_lmd", "F-LMD", "px", "lower", 2, "EAT's: 68 points, mean-centred, not scaled."),
    Metric("m_lmd_velocity", "M-LMD, velocity", "px", "lower", 2, "EAT's velocity form of M-LMD."),
    Metric(
        "lip_gap_correlation", "lip gap like real", "r", "higher", 2,
        "Correlation of the inner-lip gap with the real video's, frame by frame.",
    ),
    Metric(
        "lip_agreement", "auteur audio-lip agreement", "r", "real", 2,
        "Correlation of the lips with their prediction from the sound, at the best lag.",
    ),
    Metric(
        "lip_confidence", "audio-lip confidence", "r", "real", 2,
        "The same less its median over lags of ±15 frames, built as SyncNet's confidence.",
    ),
    Metric("lip_lag", "audio-lip lag", "frames", "real", 1, "Distance of the best agreement from no lag."),
    Metric("lse_c", "LSE-C", "", "real", 2, "SyncNet v2 confidence, lags ±15, given weights."),
    Metric("lse_d", "LSE-D", "", "real", 2, "SyncNet v2 distance, lags ±15, given weights."),
    Metric(
        "closed_on_bilabials", "lips closed on p b m", "share", "real", 2,
        "Sounds that need closed lips on which they close to a quarter of the person's usual opening.",
    ),
    Metric(
        "silence_motion", "lip motion in silence", "mm/s", "real", 2,
        "Mean speed of the lip gap inside pauses.",
    ),
    Metric(
        "identity", "auteur appearance similarity", "cosine", "higher", 3,
        "Cosine with the real frame; two people score far above 0 too. Not face recognition.",
    ),
    Metric(
        "csim", "CSIM", "cosine", "higher", 3,
        "Cosine of face embeddings with the real frame, by the identity network given.",
    ),
    Metric("au_error", "AU error", "of 1", "lower", 3, "Mean absolute error of 17 units to the request."),
    Metric("au_correlation", "AU correlation", "r", "higher", 2, "Mean over units whose request moves."),
    Metric(
        "emotion", "emotion named", "share", "higher", 2,
        "Clips whose predicted emotion is the requested one; the classifier is named with the results.",
    ),
    Metric("blinks", "blinks", "per min", "real", 1, "Both eyes closed for at most 0.6 s."),
    Metric("head_spread", "head motion", "°", "real", 2, "Root of the summed variances of the three angles."),
    Metric("head_speed", "head speed", "°/s", "real", 1, "Mean over steps of a fifth of a second."),
    Metric(
        "flicker", "flicker", "grey levels", "real", 3,
        "Mean change between frames where the real video stands still.",
    ),
)  # fmt: skip
"""In the order of a report."""

SET_METRICS: tuple[Metric, ...] = (
    Metric(
        "feature_distance", "auteur feature distance", "", "lower", 2,
        "Fréchet distance of our landmarker's features of all sampled pictures; not FID.",
    ),
    Metric("fid", "FID", "", "lower", 2, "Heusel et al. 2017, torch-fidelity's Inception, given weights."),
    Metric("fvd", "FVD", "", "lower", 1, "StyleGAN-V's I3D with given weights, clips of 16 frames."),
)  # fmt: skip
"""One figure per set of clips."""

UNIT_METRICS: tuple[Metric, ...] = (
    Metric(
        "recall", "recall", "share", "higher", 2, "Active units that were written (`evaluate.au_scores`)."
    ),
    Metric("precision", "precision", "share", "higher", 2, "Written units that are active."),
    Metric("iou", "accuracy (IoU)", "share", "higher", 2, "Intersection over union of both sets."),
    Metric("f1", "F1", "share", "higher", 2, "Of the sets of active units."),
    Metric("active_error", "MAE", "of 1", "lower", 4, "Of active units; a miss counts with its full value."),
)
"""Figures of Action Units that a model writes from speech."""

BY_NAME = {metric.name: metric for metric in (*METRICS, *SET_METRICS, *UNIT_METRICS)}
