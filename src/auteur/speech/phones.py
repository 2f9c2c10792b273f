"""The universal phone inventory: the classes of the speech encoder, and the articulation of each.

A phone is a class shared by every language (45 with silence). Each has *articulations*: facts about the lips,
the jaw and the tongue that do not depend on the language, so a network that predicts them can drive any
mouth.
"""

import unicodedata

PHONES: tuple[str, ...] = (
    "sil",
    *("i", "ɪ", "y", "e", "ø", "ɛ", "œ", "æ", "a", "ɑ", "ʌ", "ə", "ɚ", "ɔ", "o", "ʊ", "u"),
    *("p", "b", "m", "f", "v", "w", "θ", "ð", "t", "d", "n", "l", "r", "ɹ", "s", "z", "ʃ", "ʒ"),
    *("ɲ", "j", "ç", "k", "g", "ŋ", "x", "ʁ", "h"),
)
"""Phone classes in the order of the encoder's phone head; index 0 is silence."""

_MEMBERS: dict[str, str] = {
    "silence": "sil",
    "lips_closed": "p b m",
    "labiodental": "f v",
    "rounded": "y ø œ ɔ o ʊ u w ʃ ʒ ɹ",
    "spread": "i ɪ e ɛ j s z",
    "vowel_open": "a ɑ æ ʌ",
    "vowel_mid": "e ø ɛ œ ə ɚ ɔ o",
    "vowel_close": "i ɪ y ʊ u",
    "dental": "θ ð",
    "alveolar": "t d n l r s z",
    "postalveolar": "ʃ ʒ ɹ",
    "back_of_tongue": "ɲ ç k g ŋ x ʁ",
    "nasal": "m n ɲ ŋ",
    "voiced": "i ɪ y e ø ɛ œ æ a ɑ ʌ ə ɚ ɔ o ʊ u b m v w ð d n l r ɹ z ʒ ɲ j g ŋ ʁ",
}
ARTICULATIONS: tuple[str, ...] = tuple(_MEMBERS)
"""Articulations, in the order of the encoder's articulation head."""

_SPELLINGS = """
    ɨ=ɪ ʉ=u ɯ=u ʏ=y ɘ=ə ɵ=ø ɤ=ʌ ɞ=œ ɶ=œ ɐ=ʌ ɒ=ɔ ɜ=ɚ ɝ=ɚ ᵻ=ɪ ɫ=l ɭ=l ʎ=j ʝ=j ɾ=r ɽ=r ɻ=ɹ β=v ʋ=v ɱ=m
    ɸ=f ɥ=w ʍ=w ɕ=ʃ ʂ=ʃ ɧ=ʃ ʑ=ʒ ʐ=ʒ χ=x ɣ=ʁ ʀ=ʁ ɦ=h ħ=h ɡ=g c=k ɟ=g q=k ɬ=l ɳ=n ʈ=t ɖ=d A=ɑ ʦ=ts
    ʣ=dz ʧ=tʃ ʤ=dʒ
"""
"""IPA characters and the universal phones they become."""
_ARPABET = """
    aa=ɑ ae=æ ah=ʌ ao=ɔ aw=aʊ ax=ə axr=ɚ ay=aɪ b=b ch=tʃ d=d dh=ð dx=r eh=ɛ el=əl em=m en=n er=ɚ
    ey=eɪ f=f g=g hh=h hv=h ih=ɪ iy=i jh=dʒ k=k l=l m=m n=n ng=ŋ ow=oʊ oy=ɔɪ p=p r=ɹ s=s sh=ʃ t=t
    th=θ uh=ʊ uw=u v=v w=w y=j z=z zh=ʒ pau=sil sil=sil
"""
"""ARPABET symbols and the universal phones they stand for."""
_NEAREST_ARPABET = """
    y=iy e=ey ø=er œ=er a=aa ə=ah o=ow r=d ɲ=n ç=sh x=hh ʁ=r
"""
"""Phones that English lacks, and the nearest English ones."""
STOPS: frozenset[str] = frozenset("pbtdkg")
"""Phones that begin with a closed, silent mouth passage."""


def phones_of_ipa(symbol: str) -> tuple[str, ...]:
    """Returns the universal phones of one IPA phoneme symbol, for example "aɪ" → ("a", "ɪ").

    Length, stress, nasality and other diacritics are dropped. A symbol with nothing left gives an empty
    tuple.
    """
    found: list[str] = []
    bare = unicodedata.normalize("NFD", symbol).replace("c\u0327", "ç")
    for character in bare:
        for phone in _UNIVERSAL_OF.get(character, character):
            if phone in _INDEX:
                found.append(phone)
    return tuple(found)


def phones_of_arpabet(symbol: str) -> tuple[str, ...]:
    """Returns the universal phones of one ARPABET symbol in either case; empty if it is unknown."""
    phone = _PHONES_OF.get(symbol.lower().rstrip("012"), "")
    return (phone,) if phone == "sil" else tuple(phone)


def arpabet_of_ipa(symbol: str) -> tuple[str, ...]:
    """Returns the ARPABET symbols (capitals) nearest to one IPA phoneme symbol of any language."""
    phones = phones_of_ipa(symbol)
    found: list[str] = []
    while phones:
        size = 2 if "".join(phones[:2]) in _ARPABET_OF else 1
        found.append(_ARPABET_OF["".join(phones[:size])])
        phones = phones[size:]
    return tuple(found)


def phone_index(phone: str) -> int:
    """Returns the class number of a universal phone.

    Raises:
        KeyError: The phone is not one of `PHONES`.
    """
    return _INDEX[phone]


def articulation_table() -> list[list[float]]:
    """Returns the [phones, articulations] table of 0 and 1: the articulations of each phone."""
    members = [set(text.split()) for text in _MEMBERS.values()]
    return [[float(phone in group) for group in members] for phone in PHONES]


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())  # pyright: ignore[reportArgumentType]


_INDEX = {phone: number for number, phone in enumerate(PHONES)}
_UNIVERSAL_OF = _pairs(_SPELLINGS)
_PHONES_OF = _pairs(_ARPABET)
_VARIANTS = {"axr", "ax", "dx", "el", "em", "en", "hv", "pau", "sil"}
_ARPABET_OF = {phones: name.upper() for name, phones in _PHONES_OF.items() if name not in _VARIANTS}
_ARPABET_OF |= {phone: name.upper() for phone, name in _pairs(_NEAREST_ARPABET).items()}
