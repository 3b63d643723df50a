"""Deleting what refers to the deleted, where a client asks for it: `_cascade=delete`, or X-Cascade: delete

https://hl7.org/fhir/R4/http.html#delete leaves it to the server whether referential integrity holds. Here it does: by
default what others refer to stays; a cascade takes these with it, each under the grant, all or nothing.
"""

from __future__ import annotations

from hie.context import Context
from hie.errors import Conflict, Forbidden


def delete_referring(deleted: list[tuple[str, str]], ctx: Context) -> list[str]:
    """Delete what refers to the deleted, what refers to that, and so on; return what was deleted."""
    seen, level, most = set(deleted), list(deleted), ctx.settings.max_cascade_deletes
    while level:
        level = sorted(set(ctx.store.referring(level)) - seen)
        seen.update(level)
        if len(seen) - len(deleted) > most:
            if not all(ctx.store.grant.covers_all(type_name, "d") for type_name, _ in level):
                raise _forbidden(most)  # how many there are that it may not see is not for it to know
            raise Conflict(f"More than {most} resources refer to what is to be deleted; nothing was deleted. "
                           "Delete some of them first.", expression="http.url")
        for place in level:
            _delete(place, most, ctx)
    return sorted("/".join(place) for place in seen.difference(deleted))


def _delete(place: tuple[str, str], most: int, ctx: Context) -> None:
    try:
        ctx.store.delete(*place)
    except Forbidden:
        raise _forbidden(most) from None


def _forbidden(most: int) -> Forbidden:
    """Return the refusal; which resource it is, and of which type, the token may not be entitled to know."""
    return Forbidden("The token may not delete everything that refers to what is to be deleted, or that is more than "
                     f"{most} resources; nothing was deleted.")
