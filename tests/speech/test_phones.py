import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.speech.phones import (
    ARTICULATIONS,
    PHONES,
    arpabet_of_ipa,
    articulation_table,
    phone_index,
    phones_of_arpabet,
    phones_of_ipa,
)


@pytest.mark.parametrize(
    ("symbol", "phones"),
    [
        *(
            ("aɪ", ("a", "ɪ")),
            ("iː", ("i",)),
            ("œ̃", ("œ",)),
            ("tʃ", ("t", "ʃ")),
            ("ç", ("ç",)),
            ("ɑːɹ", ("ɑ", "ɹ")),
        ),
        *(("", ()), ("ˈ", ()), ("ɡ", ("g",)), ("pf", ("p", "f")), ("ʔ", ())),
    ],
)
def test_ipa_is_reduced_to_universal_phones(symbol, phones):
    assert phones_of_ipa(symbol) == phones


@pytest.mark.slow
@given(st.text(max_size=8))
def test_any_text_gives_known_phones_only(symbol):
    assert all(phone in PHONES for phone in phones_of_ipa(symbol))


@pytest.mark.parametrize("phone", PHONES[1:])
def test_every_phone_can_be_aligned_with_the_english_model(phone):
    (name,) = arpabet_of_ipa(phone)
    assert name.isupper() and phones_of_arpabet(name)


def test_affricates_and_diphthongs_stay_whole_for_the_aligner():
    assert arpabet_of_ipa("tʃ") == ("CH",)
    assert arpabet_of_ipa("aɪɚ") == ("AY", "ER")
    assert phones_of_arpabet("ay1") == ("a", "ɪ")
    assert phones_of_arpabet("SIL") == ("sil",)


def test_the_articulation_table_follows_the_lips():
    table = articulation_table()
    closed = ARTICULATIONS.index("lips_closed")
    assert [phone for phone, row in zip(PHONES, table, strict=True) if row[closed]] == ["p", "b", "m"]
    assert table[phone_index("sil")] == [float(name == "silence") for name in ARTICULATIONS]
    assert all(sum(row) >= 1 or phone == "h" for phone, row in zip(PHONES, table, strict=True))
