"""What a record refers to beside itself: practitioners, organizations, medications, attachments and the like.

References lead further, as from a PractitionerRole to its Practitioner, so they are followed until nothing new is
found; whose record a resource is decides where that ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from hie.context import Context
from hie.fhir import references
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

Target = tuple[str, str]
Belongs = Callable[[dict[str, Any]], bool]

#: One answer includes at most so many resources, and so many bytes of them.
MOST, MOST_BYTES = 1_000, 50_000_000
#: Stored JSON is compact, and a quote inside a string is escaped: these find references and attachments, nothing else.
_REFERENCE = re.compile(rb'"reference":"([^"\\]{3,500})"')
_ATTACHMENT = re.compile(rb'"url":"([^"\\]{0,400}Binary/[^"\\]{1,100})"')


def around(matches: Iterable[StoredVersion], skipped: Belongs, ctx: Context) -> tuple[list[StoredVersion], bool]:
    """Return what the matches refer to, directly or not, each once, and whether that was cut.

    `skipped` tells of a resource that it is not to be taken along: it is a match of some page, or somebody else's.
    """
    seen = {(one.type, one.id) for one in matches}
    found: list[StoredVersion] = []
    front, left = list(matches), MOST_BYTES
    while front:
        wanted = [target for target in dict.fromkeys(_targets(front, ctx.store.base_url)) if target not in seen]
        seen.update(wanted)
        front = []
        for one in ctx.store.each_read(wanted[: MOST + 1]):
            left -= len(one.content or b"")
            if left < 0:
                return found, True
            if not skipped(orjson.loads(one.content or b"{}")):
                front.append(one)
                found.append(one)
        if len(found) > MOST or len(wanted) > MOST:
            return found[:MOST], True
    return found, False


def _targets(versions: Iterable[StoredVersion], base_url: str) -> Iterator[Target]:
    for stored in versions:
        if stored.type in SELF_CONTAINED:  # references inside mean their own entries
            continue
        content = stored.content or b""
        for pattern in (_REFERENCE, _ATTACHMENT):
            for text in pattern.findall(content):
                to = references.parse(relative(text.decode(), base_url))
                if to.kind == "relative" and to.type is not None and to.id is not None:
                    yield to.type, to.id
