"""Full text: `_text` (the narrative) and `_content` (every string). https://hl7.org/fhir/R4/search.html#text

    _content=fracture left                 both words
    _content=fracture OR (joint AND pain)  `|` and `,` mean OR too; operators in any case
    _text="joint pain"                     the words side by side; so is what is written joint-pain
    _text="joint pain"~3                   the words near each other
    _text=pain -knee                       NOT knee
    _text=pain metast*                     the beginning of a word, beside a whole one

Stored are keyed hashes of the words a resource has, each once: of the narrative for _text, of all other strings for
_content, which asks for both. They decide about words; phrases and beginnings are verified on opened resources.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hie.errors import InvalidSearch
from hie.fhir import texts
from hie.store.search.clauses import EVERYTHING, STRING, AnyToken, Clause, Token, both, either, negation

PARAMETERS = frozenset({"_text", "_content"})
MOST_TERMS, DEEPEST = 50, 10
#: A word said once counts half of one that is said over and over (the k of BM25).
_SATURATION = 1.0
#: So many words may stand apart from where a phrase has them.
FARTHEST = 100
_PARTS = re.compile(r'\\.|"(?:[^"\\]|\\.)*(?:"(?:~\d+)?)?|[()|,]|(?:\\.|[^\s()|,"\\])+')
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")(?:~(\d+))?')
#: What is written as Lucene reads it, and would else be other words than meant: `pain~1`, `*itis`, `met*ses`.
_UNREAD = re.compile(r"\w~\d*$|\*[^*\w]*\w")
_OPERATORS = {"and": "AND", "or": "OR", "not": "NOT", "|": "OR", ",": "OR"}
HashOfWord = Callable[[str, str], int]
"""Hashes a word under a parameter, for one type."""

# ---- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words side by side, mostly one; the last one is a beginning if `is_open`.

    With `apart` they may stand elsewhere, in any order: by so many words, the one from the other.
    """

    words: tuple[str, ...]
    is_open: bool = False
    apart: int = 0


@dataclass(frozen=True, slots=True)
class All:
    """Every part."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Any_:
    """One part at least."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not the part."""

    part: Expression


Expression = Phrase | All | Any_ | Not


@dataclass(frozen=True, slots=True)
class FullText:
    """What _text or _content asks for."""

    parameter: str
    asked: Expression


def parse(text: str, name: str) -> FullText:
    """Read an expression."""
    asked = _Reader(text, name).read()
    if not _is_narrowed(asked):
        raise InvalidSearch(
            f"{name}={text[:80]}: a beginning (word*) is looked for in what whole words find; ask for one beside it, "
            f"in each alternative, as in {name}=pain metast*."
        )
    return FullText(name, asked)


def _is_narrowed(asked: Expression) -> bool:
    """Tell whether a whole word, or an exclusion, stands beside each beginning, which the index knows nothing of."""
    match asked:
        case Phrase(words, is_open, _):
            return len(words) > is_open
        case All(parts):
            return any(_is_narrowed(part) for part in parts)
        case Any_(parts):
            return all(_is_narrowed(part) for part in parts)
        case Not():
            return True


class _Reader:
    """Reads OR over AND over NOT; words that follow each other are AND-ed."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name = text, name
        self._parts = _PARTS.findall(text)
        self._at = self._terms = 0

    def read(self) -> Expression:
        found = self._any(0)
        if self._at < len(self._parts):
            raise self._wrong("has a ) without a (")
        return found

    def _wrong(self, told: str) -> InvalidSearch:
        return InvalidSearch(f"{self._name}={self._text[:80]} {told}.")

    def _peek(self) -> str:
        part = self._parts[self._at] if self._at < len(self._parts) else ")"
        return _OPERATORS.get(part.lower(), part)

    def _any(self, depth: int) -> Expression:
        if depth > DEEPEST:
            raise self._wrong(f"nests parentheses more than {DEEPEST} deep")
        parts = [self._all(depth)]
        while self._peek() == "OR":
            self._at += 1
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Any_(tuple(parts))

    def _all(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while True:
            if self._peek() == "AND":
                self._at += 1
            elif self._peek() in (")", "OR"):
                return parts[0] if len(parts) == 1 else All(tuple(parts))
            parts.append(self._one(depth))

    def _one(self, depth: int) -> Expression:
        part = self._peek()
        if part in (")", "AND", "OR"):
            found = f"{part!r}" if self._at < len(self._parts) else "its end"
            raise self._wrong(f"has no word before {found}")
        self._at += 1
        if part == "NOT":
            return _not(self._one(depth + 1))
        if part == "(":
            inner = self._any(depth + 1)
            if self._at == len(self._parts):
                raise self._wrong("has a ( without a )")
            self._at += 1
            return inner
        if len(part) > 1 and part.startswith("-"):
            return _not(self._phrase(part[1:]))
        if part == "-" and self._peek().startswith(('"', "(")):
            return _not(self._one(depth + 1))
        return self._phrase(part)

    def _phrase(self, part: str) -> Phrase:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise self._wrong(f"has more than {MOST_TERMS} words and phrases")
        is_quoted, apart = part.startswith('"'), 0
        if is_quoted:
            part, apart = self._quoted(part)
        elif _UNREAD.search(part):
            raise self._wrong(f'has {part[:40]!r}: ~ stands behind phrases ("joint pain"~3), * at the end of words')
        found = tuple(texts.words(re.sub(r"\\(.)", r"\1", part)))
        if not found:
            raise self._wrong(f"has no letter or digit in {part[:40]!r}")
        if apart and len(set(found)) < len(found):
            raise self._wrong("says a word twice in a phrase with ~")
        return Phrase(found, part.endswith("*") and not is_quoted, apart)

    def _quoted(self, part: str) -> tuple[str, int]:
        """Return a phrase with its quotes, and how far apart its words may stand."""
        found = _QUOTED.fullmatch(part)
        if found is None:
            raise self._wrong('has a " without its second one')
        apart = found[2] or "0"
        if len(apart) > 3 or int(apart) > FARTHEST:
            raise self._wrong(f"has words that may be more than {FARTHEST} apart")
        return found[1], int(apart)


def _not(part: Expression) -> Expression:
    return part.part if isinstance(part, Not) else Not(part)


# ---- asking the index ------------------------------------------------------------------------------------------------


def where(value: FullText, hashes: Sequence[HashOfWord]) -> Clause:
    """Return the candidates, of one type or, with the hashes of each, of several."""
    names = ("_text", "_content") if value.parameter == "_content" else ("_text",)

    def word(one: str) -> Clause:
        found = tuple(hash_(name, one) for hash_ in hashes for name in names)
        return Token(found[0], STRING) if len(found) == 1 else AnyToken(found, STRING)

    return _narrowing(value.asked, word)


def _narrowing(asked: Expression, word: Callable[[str], Clause]) -> Clause:
    match asked:
        case Phrase(words, is_open, _):
            return both([word(one) for one in (words[:-1] if is_open else words)])
        case All(parts):
            return both([_narrowing(part, word) for part in parts])
        case Any_(parts):
            return either([_narrowing(part, word) for part in parts])
        case Not(part):
            return negation(_narrowing(part, word)) if _is_decided(part) else EVERYTHING


def is_exact(value: FullText) -> bool:
    """Tell whether the index decides."""
    return _is_decided(value.asked)


def _is_decided(asked: Expression) -> bool:
    match asked:
        case Phrase(words, is_open, _):
            return len(words) == 1 and not is_open
        case Not(part):
            return _is_decided(part)
        case All(parts) | Any_(parts):
            return all(_is_decided(part) for part in parts)


# ---- verifying, and how well it fits ---------------------------------------------------------------------------------


def matches(value: FullText, resource: dict[str, Any]) -> bool:
    """Tell whether a resource is asked for."""
    return _holds(value.asked, list(_texts(value, resource)))


def score(value: FullText, resource: dict[str, Any]) -> float:
    """Say how much of a resource is what was asked for, from 0 to 1: search.html#relevance

    The mean over the words and phrases asked for, each by how often it is said.
    """
    said = list(_texts(value, resource))
    counts = [sum(_count(phrase, words) for words in said) for phrase in _wanted(value.asked)]
    return round(sum(n / (n + _SATURATION) for n in counts) / len(counts), 4) if counts else 1.0


def _texts(value: FullText, resource: dict[str, Any]) -> Iterator[list[str]]:
    yield texts.words(texts.narrative(resource))
    if value.parameter == "_content":
        yield from (texts.words(text) for text in texts.strings(resource))


def _wanted(asked: Expression) -> Iterator[Phrase]:
    match asked:
        case Phrase():
            yield asked
        case All(parts) | Any_(parts):
            for part in parts:
                yield from _wanted(part)


def _holds(asked: Expression, said: list[list[str]]) -> bool:
    match asked:
        case Phrase():
            return any(_count(asked, words) for words in said)
        case All(parts):
            return all(_holds(part, said) for part in parts)
        case Any_(parts):
            return any(_holds(part, said) for part in parts)
        case Not(part):
            return not _holds(part, said)


def _count(phrase: Phrase, words: list[str]) -> int:
    first, length = phrase.words, len(phrase.words)
    if length == 1 and not phrase.is_open:
        return words.count(first[0])
    if phrase.apart:
        return _near(phrase, words)
    return sum(1 for start in range(len(words) - length + 1) if _stands(phrase, words[start : start + length]))


def _stands(phrase: Phrase, words: list[str]) -> bool:
    *before, last = phrase.words
    return words[:-1] == before and (words[-1].startswith(last) if phrase.is_open else words[-1] == last)


def _near(phrase: Phrase, words: list[str]) -> int:
    """Count where all words of a phrase stand no farther from each other than it has them and may be apart."""
    places = {word: place for place, word in enumerate(phrase.words)}
    moved = sorted((at - places[word], word) for at, word in enumerate(words) if word in places)
    within: Counter[str] = Counter()
    found = end = 0
    for by, word in moved:
        while end < len(moved) and moved[end][0] <= by + phrase.apart:
            within[moved[end][1]] += 1
            end += 1
        found += len(within) == len(places)
        within[word] -= 1
        if not within[word]:
            del within[word]
    return found
