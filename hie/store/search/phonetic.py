"""How words sound, as Soundex writes it: https://hl7.org/fhir/R4/patient.html#search, `phonetic`

R4 asks for some kind of phonetic matching. Soundex keeps how a word begins, so the index of beginnings leads to the
candidates; letters that stand for one another at the beginning of names (Catherine, Kathrin) count as one there. A word
of other letters than Latin ones sounds like itself alone.
"""

from __future__ import annotations

import re
from string import ascii_lowercase

#: The parameters of R4 that find what sounds alike.
PARAMETERS = frozenset(f"http://hl7.org/fhir/SearchParameter/{one}-phonetic"
                       for one in ("individual", "Organization", "InsurancePlan"))
LENGTH = 4
#: Words of one value that are compared; what comes behind them is not.
MOST_WORDS = 20
#: So many letters are told apart for the index, by up to a thousand beginnings for a word.
NARROWED = 3
_SOUNDS = {letter: digit for digit, letters in enumerate(("bfpv", "cgjkqsxz", "dt", "l", "mn", "r"), 1)
           for letter in letters}  # fmt: skip
#: Letters behind which the same sound still counts once.
_SILENT = "hw"
_ALIKE = ("ckq", "fv", "ijy", "sz")
_FIRST = {letter: letters[0] for letters in _ALIKE for letter in letters}
_WORD = re.compile(r"[^\W_]+")
_LATIN = re.compile(r"[a-z]+")
_BEGINS = re.compile(r"'*[^\W_]")


def sounds(normal: str) -> tuple[str, ...]:
    """Return how the words of a normalised text sound."""
    return tuple(map(_sound, _words(normal)))


def begins_alike(normal: str, asked: str) -> bool:
    """Tell whether a normalised text begins with words that sound like those of another."""
    wanted = sounds(asked)
    return _BEGINS.match(normal) is not None and sounds(normal)[: len(wanted)] == wanted


def beginnings(asked: str) -> list[str]:
    """Return what every text begins with that `begins_alike`: three letters, or less where a word or letter ends."""
    word = _words(asked)[0]
    if _LATIN.fullmatch(word) is None:
        return ["'", f"{word[0]}'", f"{word[:2]}'", word[:NARROWED]]
    wanted, found = _sound(word), ["'"]
    begun = [(letter, *_begun(letter)) for letter in ascii_lowercase]
    begun = [one for one in begun if one[1] == wanted[0]]
    for _ in range(NARROWED - 1):
        longer = []
        for text, code, last in begun:
            if code.ljust(LENGTH, "0") == wanted:  # the word may end here
                found.append(text)
                continue
            found.append(f"{text}'")
            longer += [(text + letter, *_heard(code, last, letter)) for letter in ascii_lowercase]
        begun = [one for one in longer if wanted.startswith(one[1])]
    return found + [text for text, _, _ in begun]


def _words(normal: str) -> list[str]:
    return _WORD.findall(normal.replace("'", ""))[:MOST_WORDS]


def _sound(word: str) -> str:
    if _LATIN.fullmatch(word) is None:
        return word
    code, last = _begun(word[0])
    for letter in word[1:]:
        code, last = _heard(code, last, letter)
    return code[:LENGTH].ljust(LENGTH, "0")


def _begun(letter: str) -> tuple[str, int | None]:
    return _FIRST.get(letter, letter), _SOUNDS.get(letter)


def _heard(code: str, last: int | None, letter: str) -> tuple[str, int | None]:
    """Return a code and its last sound with one letter more."""
    sound = _SOUNDS.get(letter)
    if sound is not None and sound != last:
        code += str(sound)
    return code, last if letter in _SILENT else sound
