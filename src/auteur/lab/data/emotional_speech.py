"""Acoustic features of recordings with an emotion label, and augmented batches of them.

    auteur prepare RECORDINGS --kind speech -o SPEECH --features voice

They are split by speaker before anything else: people whom the corpus holds out test, the others form five
folds. Sounds that are no speech (noise, hum, tones, chords) are made in code and labelled neutral.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import InputError
from auteur.expression.acoustic_features import BANDS, CHANNELS, acoustic_features
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.emotion_classifier import QUIET, active_rows
from auteur.lab.data.media_kinds import PLAIN_KINDS
from auteur.lab.data.motion_tracks import no_training_person
from auteur.lab.data.shards import Corpora, PartName
from auteur.lab.data.splits import fold_of as hashed_fold
from auteur.signals import Waveform

FOLDS = 5
CROP_ROWS = 150
NOISE_SPEAKER = "noise"
_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True, eq=False)
class EmotionalClip:
    """One labelled recording."""

    name: str
    speaker: str
    emotion: str
    """One of `VOICE_EMOTIONS`."""
    intensity: float | None
    """In [0, 1]; None where the corpus does not state it."""
    rows: NDArray[np.float32]
    """[N, CHANNELS] of `auteur.expression.acoustic_features`."""
    is_held_out: bool = False
    """Whether the speaker is held out for tests."""

    @property
    def corpus(self) -> str:
        """Such as "ravdess"."""
        return self.speaker.partition("_")[0]


def fold_of(speaker: str) -> int:
    """Returns the fold, 0 to 4, of the classifier that is trained without this speaker.

    Actors of RAVDESS go in pairs of a man and a woman; EMO-DB's speakers are spread over the folds;
    all others go by a hash of their names.
    """
    corpus, _, number = speaker.partition("_")
    if corpus == "ravdess":
        return (int(number) - 1) // 2 % FOLDS
    if corpus == "emodb":
        return {"03": 0, "08": 1, "11": 2, "12": 3, "13": 4, "14": 3}.get(number, 0)
    if corpus == NOISE_SPEAKER:
        return int(number) % FOLDS
    return hashed_fold(speaker, FOLDS)


def read_clips(
    corpora: Corpora, *, part: PartName | None = "train", noise_count: int = 60
) -> list[EmotionalClip]:
    """Returns the labelled samples with speech of prepared corpora, and sounds that are no speech.

    Args:
        corpora: Recordings without pictures, videos or both, with the feature "voice".
        part: As in `ShardReader`.
        noise_count: Of `noises`.

    Raises:
        UsageError: No folder is given, or one holds photographs.
        InputError: The feature is missing, or no sample of a person who trains has a label.
    """
    found = [
        EmotionalClip(
            name=sample.key,
            speaker=speaker_of(record["person"]),
            emotion=record["emotion"],
            intensity=record["intensity"],
            is_held_out=record["held_out"],
            rows=sample.array("voice.rows").astype(np.float32),
        )
        for reader in corpora.readers(("voice",), part=part, media=("sound", "video"))
        for sample in reader
        if sample.has("voice.rows") and (record := sample.record)["emotion"] in VOICE_EMOTIONS
    ]
    if not found:
        raise InputError(no_training_person(corpora, "sample with speech and an emotion"))
    return [*found, *noises(noise_count)]


def speaker_of(person: str) -> str:
    """Returns "ravdess_01" for "ravdess:01" and for "speech:ravdess_01", a name in a plain folder."""
    kind, _, name = person.partition(":")
    return name if kind in PLAIN_KINDS and "_" in name else f"{kind}_{name}"


def noises(count: int, *, seed: int = 0) -> list[EmotionalClip]:
    """Returns sounds of 1 to 3 s without speech: coloured noise, hum, tones, chords, clicks."""
    random = np.random.default_rng(seed)
    return [
        EmotionalClip(
            name=f"noise_{number:03d}",
            speaker=f"{NOISE_SPEAKER}_{number:03d}",
            emotion="neutral",
            intensity=None,
            rows=acoustic_features(_noise(number % 5, random)).rows,
        )
        for number in range(count)
    ]


def _noise(kind: int, random: np.random.Generator) -> Waveform:
    seconds = random.uniform(1.0, 3.0)
    count = int(seconds * _RATE_HZ)
    time = np.arange(count) / _RATE_HZ
    sound = random.standard_normal(count)
    if kind <= 1:  # 0 is white, -0.5 pink, -1 brown
        spectrum = np.fft.rfft(sound)
        sound = np.fft.irfft(
            spectrum * np.maximum(np.arange(spectrum.size), 40) ** random.uniform(-1.2, 0.2), count
        )
    elif kind == 2:  # mains hum
        sound = 0.1 * sound + sum(np.sin(2 * np.pi * 50 * k * time) / k for k in range(1, 6))
    elif kind == 3:  # chords that change twice a second, as an organ
        steps = random.choice(110 * 2 ** (np.arange(36) / 12), (int(seconds * 2) + 1, 3))
        pitches = steps[(time * 2).astype(int)]
        phase = 2 * np.pi * np.cumsum(pitches, axis=0) / _RATE_HZ
        sound = sum(np.sin(phase * k).sum(1) / k for k in range(1, 5)) + 0.02 * sound
    else:  # clicks
        sound = 0.01 * sound + (random.random(count) < 8 / _RATE_HZ) * 3.0
    peak = random.uniform(0.02, 0.6)
    return Waveform(samples=(sound / np.abs(sound).max() * peak).astype(np.float32), rate_hz=_RATE_HZ)


class EmotionBatches:
    """Endless batches of augmented crops of 3 s, for the emotion classifiers.

    Tempo, vocal tract, pitch, tone colour and noise change; bands and moments are blanked (SpecAugment);
    pairs of crops are mixed (mixup) and their labels with them.

    Args:
        clips: What to draw from.
        batch_size: Crops per batch.
        seed: Everything follows from it.
        mixed: Probability that a batch is mixed.
    """

    def __init__(
        self, clips: Sequence[EmotionalClip], *, batch_size: int = 48, seed: int = 0, mixed: float = 0.6
    ) -> None:
        self._rows = [active_rows(torch.from_numpy(clip.rows)).numpy() for clip in clips]
        self._labels = np.array([VOICE_EMOTIONS.index(clip.emotion) for clip in clips])
        self._size, self._mixed = batch_size, mixed
        self.random = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yields rows [B, 150, CHANNELS], inside [B, 150] and targets [B, emotions]."""
        while True:
            chosen = self.random.choice(len(self._rows), self._size, replace=False)
            crops, inside = zip(*(self._crop(self._rows[i]) for i in chosen), strict=True)
            batch = {
                "rows": augmented(torch.from_numpy(np.stack(crops)), self.random),
                "inside": torch.from_numpy(np.stack(inside)),
                "targets": functional.one_hot(
                    torch.from_numpy(self._labels[chosen]), len(VOICE_EMOTIONS)
                ).float(),
            }
            yield self._mixup(batch) if self.random.random() < self._mixed else batch

    def _crop(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        speed = self.random.uniform(0.8, 1.25)
        length = max(int(len(rows) / speed), 4)
        kept = min(length, CROP_ROWS)
        position = (np.arange(kept) + self.random.uniform(0, length - kept)) * speed
        start = int(self.random.integers(CROP_ROWS - kept + 1))
        crop = np.zeros((CROP_ROWS, CHANNELS), np.float32)
        crop[:, :BANDS] = QUIET
        inside = np.zeros(CROP_ROWS, np.float32)
        crop[start : start + kept] = rows_between(rows, position)
        inside[start : start + kept] = 1
        return crop, inside

    def _mixup(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        share = float(self.random.beta(0.3, 0.3))
        order = torch.from_numpy(self.random.permutation(self._size))
        rows, other = batch["rows"], batch["rows"][order]
        mixed = share * rows + (1 - share) * other
        mixed[:, :, BANDS:] = (rows if share > 0.5 else other)[:, :, BANDS:]  # half an octave is no voice's
        return {
            "rows": mixed,
            "inside": torch.maximum(batch["inside"], batch["inside"][order]),
            "targets": share * batch["targets"] + (1 - share) * batch["targets"][order],
        }


def rows_between(rows: NDArray[np.float32], position: NDArray[np.floating]) -> NDArray[np.float32]:
    """Returns rows at fractional positions, linear; pitch is not drawn between voiced and unvoiced rows."""
    position = np.clip(position, 0, len(rows) - 1)
    low = position.astype(int)
    high = np.minimum(low + 1, len(rows) - 1)
    part = (position - low).astype(np.float32)[:, None]
    between = (rows[low] * (1 - part) + rows[high] * part).astype(np.float32)
    between[(rows[low, BANDS] == 0) | (rows[high, BANDS] == 0), BANDS] = 0
    return between


def augmented(rows: Tensor, random: np.random.Generator) -> Tensor:
    """Returns crops [B, N, CHANNELS] with other vocal tracts, pitches, microphones and rooms."""
    count, length, _ = rows.shape

    def drawn(values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32))

    bands, octave, voicing = rows[:, :, :BANDS], rows[:, :, BANDS], rows[:, :, BANDS + 1]
    place = (torch.arange(BANDS) * drawn(random.uniform(0.9, 1.12, (count, 1)))).clamp(max=BANDS - 1)
    low = place.long().clamp(max=BANDS - 2)
    part = (place - low)[:, None]
    index = low[:, None].expand_as(bands)
    bands = bands.gather(2, index) * (1 - part) + bands.gather(2, index + 1) * part
    octave = octave + (octave != 0) * drawn(random.normal(0, 0.15, (count, 1)))
    knots = drawn(random.normal(0, 0.12, (count, 1, 5)))
    bands = bands + functional.interpolate(knots, size=BANDS, mode="linear", align_corners=True)
    slope = drawn(random.normal(0, 0.3, (count, 1, 1))) * torch.linspace(-1, 1, BANDS)
    level = drawn(random.uniform(-1.6, -0.3, (count, 1, 1))) + slope
    noise = level * 3 + drawn(random.normal(0, 0.5, (count, length, BANDS)))
    is_noisy = torch.from_numpy(random.random((count, 1, 1)) < 0.5)
    bands = torch.where(is_noisy, torch.logaddexp(bands * 3, noise) / 3, bands)
    for one in bands:
        for _ in range(2):
            first, start = int(random.integers(BANDS - 9)), int(random.integers(max(length - 16, 1)))
            one[:, first : first + int(random.integers(9))] = -0.5
            one[start : start + int(random.integers(16))] = -0.5
    return torch.cat([bands, octave[..., None], voicing[..., None]], -1)
