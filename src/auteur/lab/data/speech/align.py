"""Forced alignment of real speech whose words are known, by PocketSphinx and its English acoustic model.

Other languages are aligned with the English phone nearest to each of their phones: the names stay those of
the language, only the times come from the aligner.
"""

from collections.abc import Sequence

from auteur.errors import InputError
from auteur.lab.data.speech.corpus import PhoneSpan
from auteur.lab.data.speech.sphinx import FRAMES_PER_SEC, Samples, aligned, new_decoder
from auteur.speech.phones import arpabet_of_ipa, phones_of_ipa


class Aligner:
    """Aligns the phonemes of known words with a recording.

    Raises:
        UsageError: PocketSphinx is not installed.
    """

    def __init__(self) -> None:
        # Wider beams lay words over every recording, badly: what fails here is better left out.
        self._decoder = new_decoder(lm=None, bestpath=False, beam=1e-80, wbeam=1e-60)
        self._known: set[str] = set()

    def align(self, samples: Samples, words: Sequence[Sequence[str]]) -> tuple[PhoneSpan, ...]:
        """Returns the spans of all phonemes and pauses, in order.

        Args:
            samples: int16 [S] at 16 kHz.
            words: For each word its IPA phoneme symbols.

        Raises:
            InputError: The words cannot be laid over the sound.
        """
        symbols = [[symbol for symbol in word if phones_of_ipa(symbol)] for word in words]
        names = [self._name(word) for word in symbols]
        try:
            alignment = aligned(self._decoder, " ".join(names), samples)
        except RuntimeError as error:
            raise InputError(f"the words could not be aligned with the speech: {error}") from error
        if alignment is None:
            raise InputError("the words could not be aligned with the speech")
        return _spans([[(p.name, p.start, p.duration) for p in word] for word in alignment], symbols)

    def _name(self, word: Sequence[str]) -> str:
        phones = [arpabet for symbol in word for arpabet in arpabet_of_ipa(symbol)]
        name = "x" + "".join(phones).lower()
        if name not in self._known:
            self._decoder.add_word(name, " ".join(phones), True)
            self._known.add(name)
        return name


def _spans(words_found: list[list[tuple[str, int, int]]], words: list[list[str]]) -> tuple[PhoneSpan, ...]:
    spans: list[PhoneSpan] = []
    waiting = iter(words)
    for phones in words_found:
        if phones[0][0] == "SIL" or phones[0][0].startswith("+"):
            _, start, duration = phones[0]
            spans.append(_span(start, start + duration, ("sil",)))
            continue
        times = iter(phones)
        for symbol in next(waiting):
            pieces = [next(times) for _ in arpabet_of_ipa(symbol)]
            stop = pieces[-1][1] + pieces[-1][2]
            spans.append(_span(pieces[0][1], stop, phones_of_ipa(symbol)))
    return tuple(spans)


def _span(start: int, stop: int, phones: tuple[str, ...]) -> PhoneSpan:
    return PhoneSpan(start_sec=start / FRAMES_PER_SEC, stop_sec=stop / FRAMES_PER_SEC, phones=phones)
