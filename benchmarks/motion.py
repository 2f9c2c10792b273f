"""Measures motion on people it never saw: the numbers of weights/face_flow.md and head_flow.md.

    python benchmarks/motion.py --shards SHARDS --out motion.json

SHARDS is what `auteur prepare … --features motion,speech` wrote. `--preset FOLDER` measures the models in
FOLDER/motion/ in place of the shipped ones.
Pose-free landmarks of the shards are the truth; displacement goes through `SpeechMotion` with its lip
rules, as in a video. People who chose the checkpoint count beside those of the test, as "held out"; their
sound is taken as it is and at its best lag.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from auteur.evaluate.lags import correlation
from auteur.evaluate.mouth_motion import FaceMotion, MouthScores, mouth_scores
from auteur.facs import au_track
from auteur.lab.data.flow_windows import BlinkMovement
from auteur.lab.data.motion_tracks import read_tracks
from auteur.lab.data.motion_windows import MotionClip, read_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.recognise import Recogniser
from auteur.media import SPEECH_RATE_HZ
from auteur.motion.cues import SpeechCues
from auteur.motion.grid import MOTION_RATE
from auteur.motion.mouth import lip_gap
from auteur.motion.performance import Performance
from auteur.motion.speech_motion import Motion, MotionOptions, SpeechMotion
from auteur.signals import Waveform
from auteur.speech.features import CompactSpeechFeatures
from auteur.talking_head.stages import load_stages

BILABIALS = frozenset("pbm")
STILL = MotionOptions(blinks=False, gaze=False, head=0.0)


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    shards: Path
    out: Path
    preset: Path | None = None
    """Folder of stages with motion/; the shipped models unless given."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Talk:
    """A held-out clip with its sound."""

    clip: MotionClip
    sound: Waveform
    features: torch.Tensor
    """Of the lip encoder, [T, S]."""
    cues: SpeechCues
    real: np.ndarray
    """Pose-free face without blinks, [T, 478, 3] mm."""


def talks(run: Benchmark) -> list[Talk]:
    phones, lips = CompactSpeechFeatures.shipped(), CompactSpeechFeatures.shipped("lip_encoder")
    corpora = Corpora(shards=(run.shards,))
    clips = read_clips(corpora, part=None)
    sounds = {track.name: track.samples for track in read_tracks(corpora, speech=None, part=None, sound=True)}
    blinks = BlinkMovement.fit([clip for clip in clips if clip.part == "train"])
    found = []
    for clip in clips:
        if clip.part == "train" or clip.speech is None:
            continue
        sound = Waveform(samples=sounds[clip.name], rate_hz=SPEECH_RATE_HZ)
        analysis = phones.analyse(sound, MOTION_RATE)
        features = lips.analyse(sound, MOTION_RATE).with_bands
        real = blinks.without(clip) + clip.neutral_mm
        found.append(Talk(clip, sound, features, SpeechCues.of_analysis(analysis), real))
    return found


def performed(talk: Talk, lips: str) -> Performance:
    track = au_track(talk.clip.controls, convention="facs", rate=MOTION_RATE)
    return Performance(frames=len(talk.real), acted=track, lips=lips)  # type: ignore[arg-type]


def faces(mover: SpeechMotion, motions: list[Motion], found: list[Talk]) -> list[np.ndarray]:
    return [
        mover.displacement_mm(motion) + talk.clip.neutral_mm
        for motion, talk in zip(motions, found, strict=True)
    ]


def table(mover: SpeechMotion, found: list[Talk], run: Benchmark) -> dict[str, MouthScores]:
    """Scores by what the motion was conditioned on, beside the real video and the mean face."""
    options = replace(STILL, seed=run.seed)
    speech = [
        mover.generate(t.features, Performance(frames=len(t.real)), cues=t.cues, options=options)
        for t in found
    ]
    units = [mover.generate(None, performed(t, "track"), options=options) for t in found]
    both = [mover.generate(t.features, performed(t, "both"), cues=t.cues, options=options) for t in found]
    real = [talk.real for talk in found]
    mean = [np.broadcast_to(face.mean(0), face.shape) for face in real]
    rows = {"speech": speech, "Action Units": units, "speech and Action Units": both}
    made = {name: faces(mover, motions, found) for name, motions in rows.items()}
    return {name: mouth_scores(motion, real) for name, motion in ({"mean face": mean} | made).items()}


def closures(mover: SpeechMotion, found: list[Talk], run: Benchmark) -> dict[str, float]:
    """Smallest gap on p, b and m as PocketSphinx recognises them, as part of the clip's mean gap; medians."""
    recogniser, rows = Recogniser(), []
    for talk in found:
        frames = len(talk.real)
        samples = np.asarray(np.clip(talk.sound.resample(16_000).samples, -1, 1) * 32_767, np.int16)
        spans = [
            slice(max(round(span.start_sec * 25) - 1, 0), min(round(span.stop_sec * 25) + 2, frames))
            for span in recogniser.recognise(samples)
            if span.phones and span.phones[0] in BILABIALS and span.start_sec * 25 < frames - 1
        ]
        idle = Performance(frames=frames)
        made = mover.generate(talk.features, idle, cues=talk.cues, options=replace(STILL, seed=run.seed))
        gap, real = lip_gap(mover.displacement_mm(made)), lip_gap(talk.real)
        chance = [slice((s.start + frames // 2) % frames, None) for s in spans]
        chance = [slice(c.start, c.start + s.stop - s.start) for c, s in zip(chance, spans, strict=True)]
        if spans:
            rows.append([_closed(gap, spans), _closed(real - real.min(), spans), _closed(gap, chance)])
    made_share, real_share, by_chance = np.nanmedian(np.array(rows), axis=0).tolist()
    return {"generated": made_share, "real video": real_share, "generated, other moments": by_chance}


def _closed(gap: np.ndarray, spans: list[slice]) -> float:
    least = [gap[part].clip(0).min() for part in spans if gap[part].size]
    return float(np.mean(least) / gap.clip(0).mean())


def silence(mover: SpeechMotion, found: list[Talk]) -> float:
    """Largest gap inside 3 s of silence between two stretches of speech, as part of the largest gap of
    all."""
    phones, lips = CompactSpeechFeatures.shipped(), CompactSpeechFeatures.shipped("lip_encoder")
    speech = max((talk.sound for talk in found), key=lambda sound: sound.duration_sec)
    rate = speech.rate_hz
    samples = np.array(speech.samples)[: 6 * rate]
    quiet = np.random.default_rng(0).normal(0, 1e-4, 3 * rate).astype(np.float32)
    wave = Waveform(samples=np.concatenate([samples, quiet, samples]), rate_hz=rate)
    analysis, features = phones.analyse(wave, MOTION_RATE), lips.analyse(wave, MOTION_RATE).with_bands
    idle = Performance(frames=len(features))
    made = mover.generate(features, idle, cues=SpeechCues.of_analysis(analysis), options=STILL)
    gap, begin = lip_gap(mover.displacement_mm(made)), len(samples) / rate
    return float(np.abs(gap[int((begin + 0.7) * 25) : int((begin + 2.3) * 25)]).max() / gap.max())


def heads(mover: SpeechMotion, found: list[Talk]) -> dict[str, float]:
    """Spread, speed and frequency of drawn head motion, and how alike two videos are."""
    motions = [
        mover.generate(
            t.features, Performance(frames=len(t.real)), cues=t.cues, options=MotionOptions(seed=n)
        )
        for n, t in enumerate(found)
        if len(t.real) >= 150
    ]
    turns = [np.degrees(np.asarray(motion.head.values)[:, :3]) for motion in motions]
    alike = [
        abs(correlation(a[:150, axis], b[:150, axis]))
        for i, a in enumerate(turns)
        for b in turns[:i]
        for axis in range(3)
    ]
    return {
        "deviation, degrees": float(np.median([turn.std(0).mean() for turn in turns])),
        "degrees per second": float(
            np.median([np.linalg.norm(np.diff(turn, axis=0), axis=1).mean() * 25 for turn in turns])
        ),
        "median frequency, Hz": float(np.median([_median_hz(turn) for turn in turns])),
        "mean correlation of two videos": float(np.mean(alike)),
    }


def _median_hz(turn: np.ndarray) -> float:
    found = []
    for column in (turn - turn.mean(0)).T:
        power = np.cumsum(np.abs(np.fft.rfft(column * np.hanning(len(column)))) ** 2)
        found.append(np.fft.rfftfreq(len(column), 1 / 25)[np.searchsorted(power, power[-1] / 2)])
    return float(np.mean(found))


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    mover = SpeechMotion.shipped() if run.preset is None else load_stages(run.preset).mover
    found = talks(run)
    real = [FaceMotion.of(talk.real) for talk in found]
    report = {
        "clips": len(found),
        "people": len({talk.clip.person for talk in found}),
        "scores": {name: asdict(scores) for name, scores in table(mover, found, run).items()},
        "real": {
            "rounded": float(np.mean([one.rounded for one in real])),
            "closed": float(np.mean([one.closed for one in real])),
            **{name: float(np.median([one.spread[name] for one in real])) for name in real[0].spread},
        },
        "closures": closures(mover, found, run),
        "silence_gap_to_largest": silence(mover, found),
        "head": heads(mover, found),
    }
    run.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
