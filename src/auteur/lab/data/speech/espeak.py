"""The eSpeak NG library through ctypes: speech together with the exact time of every phoneme."""

import ctypes
import ctypes.util
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.lab.data.speech.corpus import PhoneSpan
from auteur.speech.phones import STOPS, phones_of_ipa

_PHONEME_EVENTS_AS_IPA = 1 | 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_SILENT = 8
"""Largest 16-bit sample of a closure; eSpeak NG writes plain zeros there."""


class _Identity(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("identity", _Identity),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_SYNTH_ARGUMENTS = [
    *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
    *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
]


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Settings of a synthesis."""

    language: str
    variant: str = ""
    """A file name of `espeak-ng --voices=variant`, or nothing for the plain voice."""
    words_per_minute: int = 165
    pitch: int = 50
    """0 to 99."""
    pitch_range: int = 50
    """0 (monotone) to 99."""

    @property
    def name(self) -> str:
        """Name of the voice in the library."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """Result of a synthesis."""

    samples: NDArray[np.int16]
    rate_hz: int
    spans: tuple[PhoneSpan, ...]
    words: tuple[tuple[str, ...], ...]
    """IPA phoneme symbols of each word, in order."""


@dataclass
class _Recording:
    """Buffers of one synthesis."""

    blocks: list[NDArray[np.int16]] = field(default_factory=list)
    events: list[tuple[int, int, str]] = field(default_factory=list)


class Espeak:
    """One loaded eSpeak NG library. It keeps state for the whole process: make one and share it.

    Raises:
        UsageError: The library is not installed.
    """

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise UsageError("eSpeak NG is not installed; install it, for example: apt-get install espeak-ng")
        self._library = ctypes.CDLL(name)
        self._library.espeak_Synth.argtypes = _SYNTH_ARGUMENTS
        self._recording = _Recording()
        self._callback = _Callback(self._receive)  # the library keeps only the address
        flags = _PHONEME_EVENTS_AS_IPA | _DO_NOT_EXIT
        self._rate_hz = int(self._library.espeak_Initialize(2, 0, None, flags))
        if self._rate_hz <= 0:
            raise UsageError("eSpeak NG did not start; check that its data folder is installed")
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: Voice) -> Speech:
        """Returns the text spoken by the voice, with phone times.

        Raises:
            UsageError: The voice is unknown to the installed library.
        """
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise UsageError(f"eSpeak NG has no voice {voice.name!r}; see `espeak-ng --voices`")
        for parameter, value in (
            (_PARAMETER_RATE, voice.words_per_minute),
            (_PARAMETER_PITCH, voice.pitch),
            (_PARAMETER_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._recording = _Recording()
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate([np.zeros(1, np.int16), *self._recording.blocks])[1:]
        return Speech(
            samples=samples,
            rate_hz=self._rate_hz,
            spans=_spans(self._recording.events, samples, self._rate_hz),
            words=_words(self._recording.events),
        )

    def _receive(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._recording.blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].kind != _EVENT_END_OF_LIST:
            event = events[number]
            if event.kind in (_EVENT_WORD, _EVENT_PHONEME):
                symbol = ""
                if event.kind == _EVENT_PHONEME:
                    symbol = bytes(event.identity.string).decode("utf-8", "ignore")
                self._recording.events.append((event.kind, event.audio_position_ms, symbol))
            number += 1
        return 0


def _words(events: list[tuple[int, int, str]]) -> tuple[tuple[str, ...], ...]:
    words: list[list[str]] = [[]]
    for kind, _, symbol in events:
        if kind == _EVENT_WORD:
            words.append([])
        elif phones_of_ipa(symbol):
            words[-1].append(symbol)
    return tuple(tuple(word) for word in words if word)


def _spans(
    events: list[tuple[int, int, str]], samples: NDArray[np.int16], rate_hz: int
) -> tuple[PhoneSpan, ...]:
    phonemes = [(time_ms / 1000, symbol) for kind, time_ms, symbol in events if kind == _EVENT_PHONEME]
    starts = [start for start, _ in phonemes]
    for number, (_, symbol) in enumerate(phonemes):
        phones = phones_of_ipa(symbol)
        if number and phones and phones[0] in STOPS:
            starts[number] = _closure_start(samples, rate_hz, starts[number - 1], starts[number])
    stops = [*starts[1:], samples.size / rate_hz]
    spans: list[PhoneSpan] = []
    for start, stop, (_, symbol) in zip(starts, stops, phonemes, strict=True):
        part = samples[int(start * rate_hz) : int(stop * rate_hz)]
        is_silent = part.size == 0 or int(np.abs(part).max()) <= 64 * _SILENT
        phones = phones_of_ipa(symbol) or (("sil",) if is_silent else ())
        spans.append(PhoneSpan(start_sec=start, stop_sec=stop, phones=phones))
    return tuple(spans)


def _closure_start(samples: NDArray[np.int16], rate_hz: int, earliest: float, burst: float) -> float:
    """The library reports a stop at its burst; the passage closed when the sound before it fell silent."""
    part = samples[int(earliest * rate_hz) : int(burst * rate_hz)]
    loud = np.flatnonzero(np.abs(part) > _SILENT)
    silent_from = earliest if loud.size == 0 else earliest + (int(loud[-1]) + 1) / rate_hz
    return min(max(silent_from, burst - 0.15), burst)
