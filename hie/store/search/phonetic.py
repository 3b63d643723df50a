"""How words sound, as Soundex writes it: https://hl7.org/fhir/R4/patient.html#search, `phonetic`

R4 asks for some kind of phonetic matching. Soundex keeps how a word begins, so the index of beginnings leads to the
candidates; letters that stand for one another at the beginning of names (Catherine, Kathrin) count as one there. A word
of other letters than Latin ones sounds like itself alone.
"""

from __future__ import annotations

import re

#: The parameters of R4 that find what sounds alike.
PARAMETERS = frozenset(f"http://hl7.org/fhir/SearchParameter/{one}-phonetic"
                       for one in ("individual", "Organization", "InsurancePlan"))
LENGTH = 4
#: Words of one value that are compared; what comes behind them is not.
MOST_WORDS = 20
_SOUNDS = {letter: digit for digit, letters in enumerate(("bfpv", "cgjkqsxz", "dt", "l", "mn", "r"), 1)
           for letter in letters}  # fmt: skip
#: Letters behind which the same sound still counts once.
_SILENT = "hw"
_ALIKE = ("ckq", "fv", "ijy", "sz")
_FIRST = {letter: letters[0] for letters in _ALIKE for letter in letters}
_WORD = re.compile(r"[^\W_]+")
_LATIN = re.compile(r"[a-z]+")


def sounds(normal: str) -> tuple[str, ...]:
    """Return how the words of a normalised text sound."""
    return tuple(_sound(one) for one in _WORD.findall(normal.replace("'", ""))[:MOST_WORDS])


def beginnings(normal: str) -> tuple[str, ...]:
    """Return the letters that a text may begin with which sounds like this one."""
    first = normal[0]
    return tuple(next((one for one in _ALIKE if first in one), first))


def _sound(word: str) -> str:
    if _LATIN.fullmatch(word) is None:
        return word
    found, last = [_FIRST.get(word[0], word[0])], _SOUNDS.get(word[0])
    for letter in word[1:]:
        sound = _SOUNDS.get(letter)
        if sound is not None and sound != last:
            found.append(str(sound))
        if letter not in _SILENT:
            last = sound
    return "".join(found)[:LENGTH].ljust(LENGTH, "0")
