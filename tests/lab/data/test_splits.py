"""The split by person: the same for ever, and about one in five."""

from auteur.lab.data.splits import is_held_out


def test_the_split_never_changes():
    people = [f"person {index}" for index in range(20)]
    assert [index for index, name in enumerate(people) if is_held_out(name)] == [
        2,
        3,
        5,
        6,
        7,
        11,
        12,
        14,
        18,
    ]


def test_a_corpus_keeps_its_published_split():
    test = ("M003", "M030", "W009", "W015")
    people = [f"{sex}{number:03d}" for sex in "MW" for number in range(1, 43)]
    assert tuple(person for person in people if is_held_out(f"mead:{person}")) == test


def test_about_one_in_five_is_held_out():
    share = sum(is_held_out(f"somebody {index}") for index in range(5000)) / 5000
    assert 0.18 < share < 0.22
