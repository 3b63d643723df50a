"""The text of a cursor as a link carries it: tied to what was asked and to what the token may see, and sealed.

Its length tells nothing of others: the numbers of rows and of writes, which grow with what everybody stores, take so
many characters whatever they are. docs/adr/0018-record-as-of-an-instant.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hie.fhir.scopes import Grant
from hie.store.crypto import Blind

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: What depends on others' writes is filled up to a multiple of this; some twenty writes under way fit in one.
WIDTH = 128


def mark(blind: Blind, grant: Grant, asked: Sequence[str]) -> int:
    """Return what ties a cursor to what was asked, and to the scopes under which it was."""
    return blind.hash("cursor", _told(grant), *asked)


@lru_cache(maxsize=256)
def _told(grant: Grant) -> str:
    return repr(sorted(repr(scope) for scope in grant.scopes))


def seal(store: ResourceStore, parts: Sequence[Any], of_others: Any) -> str:
    """Return a cursor; `of_others` are those parts of it that depend on what others have written."""
    return store.seal_text(json.dumps(parts) + " " * (-len(json.dumps(of_others)) % WIDTH))
