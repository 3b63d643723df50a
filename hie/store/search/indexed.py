"""What versions are found by that this process wrote lately: a resource that was just stored is often changed next.

A change and a deletion need what the version before is found by (its tokens leave the index, the past keeps them), and
to open, parse and index it anew costs as much as to index the new one.
"""

from __future__ import annotations

import hashlib
from array import array
from threading import Lock

from hie.fhir import search_parameters
from hie.store.search.index import IndexRows

#: So many versions, and so many rows of each at most: 0.5 to 1 MiB, as a token takes 8 bytes here instead of 40. When
#: they are so many, the older half is forgotten. A Patient with two names has 150 tokens.
MOST, MOST_ROWS = 512, 400


class Indexed:
    """Index rows by the digest of the content they were made of, and by what else they depend on.

    So nothing has to be told of what was written after all, rolled back or replaced: the same content has the same
    rows. Nothing that a person could read is kept.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, bool], tuple[array[int], IndexRows]] = {}
        self._lock = Lock()

    def keep(self, type_name: str, content: bytes, base_url: str, index: IndexRows, *, words: bool) -> None:
        """Remember the rows of a content of the type; large ones and those of what contains others are made anew."""
        if index.contained or len(index.tokens) + len(index.dates) + len(index.numbers) > MOST_ROWS:
            return
        key = _key(type_name, content, base_url, words)
        if key is None:
            return
        with self._lock:
            if len(self._kept) >= MOST:
                for first in list(self._kept)[: MOST // 2]:
                    del self._kept[first]
            self._kept[key] = array("q", index.tokens), IndexRows(
                [], index.dates, index.numbers, index.presence, index.date_low, index.date_high, index.links
            )

    def take(self, type_name: str, content: bytes, base_url: str, *, words: bool) -> IndexRows | None:
        """Return the rows of a content and forget them, as it is about to be replaced; None where they are not known.

        They have no texts of references, and no patient.
        """
        key = _key(type_name, content, base_url, words)
        if key is None:
            return None
        with self._lock:
            kept = self._kept.pop(key, None)
        if kept is None:
            return None
        tokens, rows = kept
        rows.tokens = tokens.tolist()
        return rows


def _key(type_name: str, content: bytes, base_url: str, words: bool) -> tuple[bytes, bool] | None:
    """Return what the rows depend on; None for a type with parameters of its own, which come and go."""
    if search_parameters.installed().by_type.get(type_name) is not None:
        return None
    digest = hashlib.blake2b(content, digest_size=16)
    digest.update(base_url.encode("utf-8", "surrogatepass"))
    return digest.digest(), words
