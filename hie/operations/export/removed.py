"""What was deleted since a client asked before: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hie.context import Context
from hie.errors import Gone, NotFound
from hie.interactions.bulk_export import Removed
from hie.operations.export.asked import Asked
from hie.operations.export.pages import AT_ONCE
from hie.store.models import DELETED
from hie.store.versions import StoredVersion

Belongs = Callable[[StoredVersion], bool]


def removed(asked: Asked, ctx: Context, belongs: Belongs | None = None) -> Iterator[Removed]:
    """Yield what is deleted, was not when the client asked before, and the token may know of by its history.

    `belongs` is asked of the version before the deletion; whether that met a filter is not.
    """
    since, met, cursor = asked.since or 0, set(), None
    while True:
        page = ctx.store.history(since=since, count=AT_ONCE, cursor=cursor, counts=False, types=asked.types)
        for one in page.versions:
            place = (one.type, one.id)
            if place in met or one.updated <= since or (ctx.store.seen is None and one.updated > (ctx.store.at or 0)):
                continue
            met.add(place)  # the newest comes first, and it alone tells
            if one.method == DELETED and (belongs is None or _belonged(one, belongs, ctx)):
                yield Removed(*place)
        cursor = page.next
        if cursor is None:
            return


def _belonged(deletion: StoredVersion, belongs: Belongs, ctx: Context) -> bool:
    """Tell whether the last version before a deletion belongs.

    Whose one was that is erased nobody knows any more: it is told, or who has it would keep it for good.
    """
    try:
        return deletion.vid > 1 and belongs(ctx.store.vread(deletion.type, deletion.id, deletion.vid - 1))
    except Gone:
        return True
    except NotFound:
        return False
