"""What a record refers to beside itself: practitioners, organizations, medications, attachments and the like.

References lead further, as from a PractitionerRole to its Practitioner, so they are followed until nothing new is
found; whose record a resource is decides where that ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import orjson

from hie.context import Context
from hie.fhir import facts, references
from hie.store.named_versions import NamedVersions, number
from hie.store.search.literal_references import SELF_CONTAINED
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

Target = tuple[str, str]
Belongs = Callable[[dict[str, Any]], bool]

#: One answer includes at most so many resources, and so many versions that are superseded.
MOST, MOST_VERSIONS = 1_000, 100
#: So many resources, and bytes of them, are read for it, with those that are left: members of the record on other
#: pages, of which one Provenance may name all, and what is somebody else's.
MOST_READ, MOST_BYTES = 10_000, 50_000_000
#: Rows are held for so many of them at once.
AT_ONCE = 500
#: Stored JSON is compact, and a quote inside a string is escaped: these find references and attachments, nothing else.
_REFERENCE = re.compile(rb'"reference":"([^"\\]{3,500})"')
_ATTACHMENT = re.compile(rb'"url":"([^"\\]{0,400}Binary/[^"\\]{1,100})"')


def around(
    matches: Iterable[StoredVersion], skipped: Belongs, ctx: Context, types: frozenset[str] = facts.RESOURCE_TYPES
) -> tuple[list[StoredVersion], bool]:
    """Return what the matches refer to, directly or not, each once, and whether that was cut.

    A reference to a version brings that one, and the current one where it is gone. `skipped` tells of a resource that
    it is not to be taken along: it is a match of some page, or somebody else's. `types`: no others are read.
    """
    own = {(one.type, one.id) for one in matches}
    asked: dict[Target, set[int | None]] = {}
    current: dict[Target, StoredVersion] = {}
    taken: set[tuple[str, str, int]] = set()
    found: list[StoredVersion] = []
    front, left, versions = list(matches), MOST_BYTES, NamedVersions(ctx.store, MOST_VERSIONS)
    room = MOST_READ
    while front:
        wanted: dict[Target, set[int | None]] = {}
        for target, vid in _targets(front, ctx.store.base_url):
            if target[0] in types and target not in own and vid not in asked.setdefault(target, set()):
                asked[target].add(vid)
                wanted.setdefault(target, set()).add(vid)
        front = []
        unread = [target for target in wanted if len(asked[target]) == len(wanted[target])]
        again = [current[target] for target in wanted if target in current]
        for stored in chain(_each_read(unread[:room], ctx), again):
            current[stored.type, stored.id] = stored
            for one in versions.of(stored, wanted[stored.type, stored.id]):
                if (one.type, one.id, one.vid) in taken:
                    continue
                taken.add((one.type, one.id, one.vid))
                left -= len(one.content or b"")
                if left < 0:
                    return found, True
                if not skipped(orjson.loads(one.content or b"{}")):
                    front.append(one)
                    found.append(one)
                    if len(found) > MOST:
                        return found[:MOST], True
        if len(unread) > room or versions.is_cut:
            return found, True
        room -= len(unread)
    return found, False


def _each_read(targets: list[Target], ctx: Context) -> Iterator[StoredVersion]:
    for start in range(0, len(targets), AT_ONCE):
        yield from ctx.store.each_read(targets[start : start + AT_ONCE])


def _targets(versions: Iterable[StoredVersion], base_url: str) -> Iterator[tuple[Target, int | None]]:
    for stored in versions:
        if stored.type in SELF_CONTAINED:  # references inside mean their own entries
            continue
        content = stored.content or b""
        for pattern in (_REFERENCE, _ATTACHMENT):
            for text in pattern.findall(content):
                to = references.parse(relative(text.decode(), base_url))
                if to.kind == "relative" and to.type is not None and to.id is not None:
                    yield (to.type, to.id), number(to.version)
