"""Measures the shipped motion generator on people it never saw: the numbers of weights/motion.md.

    python benchmarks/motion.py --tracks TRACKS --clips clips/manifest.csv --out motion.json --plots PLOTS

TRACKS is what `python -m auteur.data.motion_tracks --speech-weights …/speech_encoder.safetensors` wrote.
"""

import csv
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import tyro

from auteur.data.motion_lags import LARGEST_LAG_FRAMES
from auteur.data.motion_windows import MotionClip, read_clips
from auteur.data.speech.recognise import Recogniser
from auteur.errors import MediaError
from auteur.face.action_units import CENTRAL_WEIGHTS, MEASURES, SIDED_WEIGHTS
from auteur.facs import au_track
from auteur.media import read_speech
from auteur.motion.au_basis import BASIS_UNITS
from auteur.motion.mouth import lip_gap
from auteur.motion.speech_motion import MOTION_RATE, Habits, SpeechCues, SpeechMotion
from auteur.signals import AUTrack, Waveform
from auteur.speech.features import CompactSpeechFeatures

BILABIALS = frozenset("pbm")
STILL = Habits(blinks=False, gaze=False, head=0.0)
OPENFACE18_NUMBERS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45, 28)


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    tracks: Path
    clips: Path
    out: Path
    encoder: Path | None = None
    """Weights of the speech encoder; the shipped one unless given."""
    generator: Path | None = None
    """Weights of the generator; the shipped one unless given."""
    plots: Path | None = None


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def best_within(made: np.ndarray, real: np.ndarray, frames: int) -> float:
    """Correlation at the best lag of at most `frames`, for clips whose sound and picture are apart."""
    lags = range(-frames, frames + 1)
    size = len(real)
    return max(
        correlation(made[max(0, -k) : size - max(0, k)], real[max(0, k) : size - max(0, -k)]) for k in lags
    )


def performance_of(clip: MotionClip) -> AUTrack:
    return au_track(clip.controls, convention="facs", rate=MOTION_RATE)


def heard_clips(run: Benchmark, encoder: CompactSpeechFeatures, clips: list[MotionClip]):
    """Yields (clip, its sound, analysis at its frames) of clips with sound that belongs to the picture."""
    with run.clips.open(encoding="utf-8") as table:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(table)}
    for clip in clips:
        if clip.speech is None:
            continue
        row = rows[clip.name]
        try:
            sound = read_speech(run.clips.parent.parent / (row["wav"] or row["file"]))
        except MediaError:
            continue
        lag = int(np.load(run.tracks / f"{clip.name}.npz")["lag"])
        sound = shifted(sound, lag, len(clip.aus))
        yield clip, sound, encoder.analyse(sound, MOTION_RATE)


def shifted(sound: Waveform, lag: int, frames: int) -> Waveform:
    """The sound moved by `lag` frames and cut to `frames`, so that it belongs to the picture."""
    step = sound.rate_hz // 25
    samples = np.array(sound.samples)
    samples = np.pad(samples, (lag * step, 0)) if lag > 0 else samples[-lag * step :]
    samples = np.pad(samples, (0, max(0, frames * step - len(samples))))[: frames * step]
    return Waveform(samples=samples, rate_hz=sound.rate_hz)


def marked_closures(recogniser: Recogniser, sound: Waveform, frames: int) -> list[slice]:
    """Frames of every p, b and m that PocketSphinx hears: marks that our own encoder has no part in."""
    samples = np.asarray(np.clip(sound.resample(16_000).samples, -1, 1) * 32_767, np.int16)
    return [
        slice(max(round(span.start_sec * 25) - 1, 0), min(round(span.stop_sec * 25) + 2, frames))
        for span in recogniser.hear(samples)
        if span.phones and span.phones[0] in BILABIALS and span.start_sec * 25 < frames - 1
    ]


def closed_to_mean(gap: np.ndarray, closures: list[slice]) -> float:
    """Smallest gap in each closure, its mean as a part of the clip's mean gap."""
    if not closures:
        return float("nan")
    return float(np.mean([gap[part].min().clip(0) for part in closures]) / gap.clip(0).mean())


def lips(
    motion: SpeechMotion, run: Benchmark, encoder: CompactSpeechFeatures, clips: list[MotionClip]
) -> dict:
    """Correlation of the lip gap with the real video, and how far lips close on p, b and m."""
    per_clip: dict[str, dict[str, float]] = {}
    recogniser = Recogniser()
    for clip, sound, analysis in heard_clips(run, encoder, clips):
        cues = SpeechCues.of_analysis(analysis)
        made = motion.generate(analysis.features, cues=cues, temperature=0.0, habits=STILL)
        gap, real = lip_gap(motion.displacement_mm(made)), lip_gap(clip.displacement_mm)
        with_aus = motion.generate(
            analysis.features, cues=cues, performance=performance_of(clip), temperature=0.0, habits=STILL
        )
        closures = marked_closures(recogniser, sound, len(gap))
        elsewhere = [slice(c.start + len(gap) // 2, c.stop + len(gap) // 2) for c in closures]
        by_chance = [slice(c.start % len(gap), c.start % len(gap) + c.stop - c.start) for c in elsewhere]
        per_clip[clip.name] = {
            "speech": correlation(gap, real),
            "speech_best_lag": best_within(gap, real, LARGEST_LAG_FRAMES // 2),
            "speech_and_aus": correlation(lip_gap(motion.displacement_mm(with_aus)), real),
            "closures": len(closures),
            "closed_to_mean": closed_to_mean(gap, closures),
            "closed_by_chance": closed_to_mean(gap, by_chance),
            "closed_in_real_video": closed_to_mean(real - real.min(), closures),
            "mean_gap_mm": float(gap.clip(0).mean()),
            "real_mean_gap_mm": float((real - real.min()).mean()),
        }
        if run.plots:
            plot_gap(run.plots / f"gap_{clip.name}.png", gap, real, analysis.loudness.numpy(), cues.closure)
    for clip in clips:
        made = motion.generate(None, performance=performance_of(clip), temperature=0.0, habits=STILL)
        gap = lip_gap(motion.displacement_mm(made))
        per_clip.setdefault(clip.name, {})["aus"] = correlation(gap, lip_gap(clip.displacement_mm))
    names = ("speech", "speech_best_lag", "speech_and_aus", "aus")
    closed = ("closed_to_mean", "closed_by_chance", "closed_in_real_video")
    person_of = {clip.name: clip.person for clip in clips}
    return {
        "median_over_people": {n: median_over_people(per_clip, person_of, n) for n in (*names, *closed)},
        "clips": per_clip,
    }


def median_over_people(clips: dict[str, dict[str, float]], person_of: dict[str, str], name: str) -> float:
    """Median over people of the mean over their clips."""
    people: dict[str, list[float]] = {}
    for clip, figures in clips.items():
        if np.isfinite(figures.get(name, np.nan)):
            people.setdefault(person_of[clip], []).append(figures[name])
    return float(np.median([np.mean(values) for values in people.values()]))


def plot_gap(
    path: Path, gap: np.ndarray, real: np.ndarray, loudness: np.ndarray, closure: np.ndarray
) -> None:
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(14, 4))
    axes = figure.subplots()
    times = np.arange(len(gap)) / 25
    axes.plot(times, real - real.min(), label="real gap, mm", color="0.6")
    axes.plot(times, gap, label="generated gap, mm")
    axes.plot(times, 10 * loudness[: len(gap)], label="loudness × 10", lw=0.8)
    axes.fill_between(times, 0, 5 * closure[: len(gap)], alpha=0.3, label="lip closure")
    axes.legend(loc="upper right")
    axes.set_xlabel("seconds")
    figure.savefig(path, dpi=90, bbox_inches="tight")


def silence(motion: SpeechMotion, encoder: CompactSpeechFeatures, speech: Waveform) -> float:
    """Largest gap in 2 s of silence between two stretches of speech, as part of the largest gap of all."""
    rate = speech.rate_hz
    quiet = np.random.default_rng(0).normal(0, 1e-4, 2 * rate)
    samples = np.concatenate([speech.samples, quiet, speech.samples])
    analysis = encoder.analyse(Waveform(samples=samples, rate_hz=rate), Fraction(25))
    made = motion.generate(analysis.features, cues=SpeechCues.of_analysis(analysis), temperature=0.3)
    gap = lip_gap(motion.displacement_mm(made))
    begin = len(speech.samples) / rate
    inside = gap[int((begin + 0.4) * 25) : int((begin + 1.6) * 25)]
    return float(np.abs(inside).max() / gap.max())


def readings(displacement: np.ndarray) -> dict[int, float]:
    """What the measures of each unit say about a displacement [478, 3] (geometry only)."""
    changes = {n: sum(f * displacement[v, a] for f, v, a in terms) for n, terms in MEASURES.items()}
    weights = SIDED_WEIGHTS | CENTRAL_WEIGHTS
    return {
        n: float(sum(w * changes[m] for m, w in unit.items() if m in changes)) for n, unit in weights.items()
    }


@torch.no_grad()
def signs(motion: SpeechMotion) -> dict[str, dict[int, float]]:
    """Finite differences: what each unit asked for changes in its own reading, network and basis."""
    generator = motion.generator
    rest = torch.zeros(1, 50, 18)
    network: dict[int, float] = {}
    for column, number in enumerate(OPENFACE18_NUMBERS):
        raised = rest.clone()
        raised[..., column] = 0.5
        made = [
            generator.displacement(generator.sample(generator.condition(None, u), seed=0, temperature=0.0))[
                25
            ]
            for u in (rest, raised)
        ]
        network[number] = readings((made[1] - made[0]).numpy()).get(number, float("nan"))
    basis = {
        n: readings(motion.basis.basis[i].numpy()).get(n, float("nan"))
        for i, n in enumerate(BASIS_UNITS[:18])
    }
    return {"network": network, "basis": basis}


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    motion = SpeechMotion.shipped(generator=run.generator)
    encoder = CompactSpeechFeatures.from_file(run.encoder) if run.encoder else CompactSpeechFeatures.shipped()
    clips = [clip for clip in read_clips(run.tracks) if clip.part == "test"]
    report = {"lips": lips(motion, run, encoder, clips), "signs": signs(motion)}
    speech = read_speech(run.clips.parent / "styletalk_c1.wav").slice(2, 8)
    report["silence_gap_to_largest"] = silence(motion, encoder, speech)
    run.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(
        json.dumps(
            {
                "median": report["lips"]["median_over_people"],
                "signs": report["signs"],
                "silence": report["silence_gap_to_largest"],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
