"""What sounds alike is found by how it begins: no text is left out that the words asked for sound like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hie.fhir.datatypes import normalize_string
from hie.store.search.phonetic import beginnings, begins_alike, sounds

TEXTS = st.text(alphabet="abcfhijklmnrstvwyz'- .łи", max_size=9).map(normalize_string)


@pytest.mark.parametrize(
    ("word", "sound"),
    [("robert", "r163"), ("rupert", "r163"), ("ashcraft", "a261"), ("tymczak", "t522"), ("pfister", "p236"),
     ("honeyman", "h555"), ("lee", "l000"), ("kathrin", "c365")],
)  # fmt: skip
def test_words_sound_as_soundex_writes_them(word: str, sound: str) -> None:
    """https://www.archives.gov/research/census/soundex, but for the first letters that count as one."""
    assert sounds(word) == (sound,)


@given(TEXTS, TEXTS)
def test_every_text_that_begins_alike_has_one_of_the_beginnings(stored: str, asked: str) -> None:
    if sounds(asked) and begins_alike(stored, asked):
        assert stored.startswith(tuple(beginnings(asked)))


@pytest.mark.parametrize(("stored", "asked"), [("'t hooft", "t hooft"), ("o'brien", "obrian"), ("d'angelo", "dangelo"),
                                               ("li", "lee"), ("ng", "nag"), ("li-wu", "lee"), ("иванов", "иванов")])
def test_what_sounds_alike_is_among_what_is_looked_at(stored: str, asked: str) -> None:
    assert begins_alike(stored, asked)
    assert stored.startswith(tuple(beginnings(asked)))


def test_few_of_those_with_the_same_first_letter_are_looked_at() -> None:
    """Of a million patients a tenth begin with S, and no page opens more than 20,000."""
    found = tuple(beginnings("smith"))
    assert len(found) < 800
    names = ("stein", "springer", "sbrana", "sadler", "suter", "salzmann", "sella", "serra", "saporito", "silva")
    assert not [one for one in names if one.startswith(found)]
    assert all(one.startswith(found) for one in ("smyth", "schmidt", "zimt", "sandoval"))
