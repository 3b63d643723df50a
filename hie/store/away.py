"""When the database does not answer for now, a request is refused for a moment (503), not failed (500)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import TimeoutError as NoneIsFree

from hie.errors import Busy


def refusal(error: BaseException) -> Busy | None:
    """Return the refusal of what failed for the database; None where something else is the cause."""
    if isinstance(error, NoneIsFree):
        return Busy("All connections to the database are in use; nothing was done.")
    if is_unreachable(error):
        return Busy("The database cannot be reached at the moment; what was to be written may be looked up, or "
                    "sent again, once it is back.")
    return None


def is_unreachable(error: BaseException) -> bool:
    """Tell whether an error means that PostgreSQL cannot be reached, or is starting or stopping, for now."""
    found: Any = getattr(error, "orig", error)
    if not type(found).__module__.startswith("psycopg"):
        return False
    import psycopg

    if type(found) is psycopg.DatabaseError and found.sqlstate is None:  # libpq's own: the server tells a state
        return True
    return isinstance(found, psycopg.OperationalError | psycopg.InterfaceError)
