"""What writes of SearchParameters change, and what a finished run over the index ends.

hie.store.known_parameters says what the states mean.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, text, update

from hie.errors import Conflict, FhirError, Forbidden, TooManyRequests
from hie.fhir import custom_parameters
from hie.fhir.custom_parameters import Definition
from hie.fhir.scopes import parse_grant
from hie.store import administration, index_runs
from hie.store.known_parameters import INDEXING, READY, REMOVING, ROWS, definition_of
from hie.store.models import custom_parameter

if TYPE_CHECKING:
    from hie.store.tenants import Tenant

#: From then on no write is under way that does not know of a change (known_parameters.REMEMBERED_SECONDS, and its
#: commit); a run starts later than that.
GRACE_MICROSECONDS = 5_000_000
#: Of one type; each costs every write of it.
MOST_OF_A_TYPE = 64
#: Runs that may wait before definitions are refused: whoever may write SearchParameters starts one with each write.
MOST_RUNS = 16
RETRY_SECONDS = 30


def announce(connection: Connection, tenant: Tenant) -> None:
    """Tell every process that something changed; until the transaction ends nobody else changes anything."""
    connection.execute(_RAISE, {"tenant": tenant.id})


_RAISE = text(
    "INSERT INTO custom_version (tenant, number) VALUES (:tenant, 1) "
    "ON CONFLICT (tenant) DO UPDATE SET number = custom_version.number + 1"
)


# ---- what a write of SearchParameters changes ------------------------------------------------------------------------


def apply(
    connection: Connection, tenant: Tenant, changed: Mapping[str, dict[str, Any] | None], now: int, *, is_admin: bool
) -> bool:
    """Make the SearchParameters of a transaction (None: deleted) count; tell whether the index must change.

    `is_admin`: who wrote them may give tokens, and so may say what the conditions of given ones mean.
    """
    composites = {id_: content for id_, content in changed.items()
                  if content is not None and custom_parameters.is_composite(content)}
    wanted = {id_: None if content is None else _definition(id_, content)
              for id_, content in changed.items() if id_ not in composites}  # fmt: skip
    if not composites and not any(wanted.values()) and not connection.execute(ROWS, {"tenant": tenant.id}).first():
        return False
    announce(connection, tenant)
    rows = {row.id: row for row in connection.execute(ROWS, {"tenant": tenant.id}) if row.state != REMOVING}
    known = {id_: definition_of(row, tenant) for id_, row in rows.items()}
    others = {one.url: one for one in (known | wanted).values() if one is not None}
    wanted |= {id_: _definition(id_, content, others) for id_, content in composites.items()}
    changes = {id_: one for id_, one in wanted.items() if known.get(id_) != one}
    if not changes:
        return False
    if not is_admin:
        _refuse_conditions(connection, tenant, {id_: one for id_, one in changes.items() if one is not None}, now)
    after = {id_: one for id_, one in (known | changes).items() if one is not None}
    _refuse_conflicts(after, changes)
    if any(changes.values()):  # taking one out is never held up
        _refuse_many_runs(connection, tenant)
    types = {base for id_ in changes for one in (known.get(id_), changes[id_]) if one is not None for base in one.bases}
    run = index_runs.add(connection, tenant, sorted(types), now, run_after=now + GRACE_MICROSECONDS)
    for id_, one in changes.items():
        if id_ in rows:
            number = custom_parameter.c.number == rows[id_].number
            connection.execute(update(custom_parameter).where(number).values(state=REMOVING, run=run))
        if one is not None:
            sealed = tenant.seal_text(json.dumps(one.json()))
            values = {"tenant": tenant.id, "id": id_, "state": INDEXING, "definition": sealed, "run": run}
            connection.execute(insert(custom_parameter).values(values))
    return True


def _definition(
    id_: str, content: dict[str, Any], others: Mapping[str, Definition] | None = None
) -> Definition | None:
    try:
        return custom_parameters.definition(content, others)
    except FhirError as error:
        raise _about(error, id_) from error


def _about(error: FhirError, id_: str) -> FhirError:
    """Return an error that says which resource it is about: of a transaction there may be many."""
    issues = [replace(issue, source=f"SearchParameter/{id_}") for issue in error.issues]
    return type(error)(error.diagnostics, issues=issues)


def _refuse_conditions(
    connection: Connection, tenant: Tenant, defined: Mapping[str, Definition], now: int
) -> None:
    """Refuse to say anew what a condition of a token means: it would open what the token was to be kept from."""
    if not defined:
        return
    named = {
        (scope.type, name.partition(":")[0])
        for text in administration.conditional_scopes(connection, tenant.id, now)
        for scope in parse_grant([text]).scopes for name, _ in scope.query
    }  # fmt: skip
    for id_, one in defined.items():
        for base in one.bases:
            if (base, one.code) in named or ("*", one.code) in named:
                told = Forbidden(f"Tokens have conditions by {one.code} of {base}; to say what it means needs a token "
                                 "with the scope admin, besides.", expression="SearchParameter.code")
                raise _about(told, id_)


def _refuse_conflicts(after: Mapping[str, Definition], changes: Container[str]) -> None:
    of_code: dict[tuple[str, str], str] = {}
    of_type: dict[str, int] = {}
    for id_, one in after.items():
        for base in one.bases:
            first = of_code.setdefault((base, one.code), id_)
            if first != id_:
                came, other = (id_, first) if id_ in changes else (first, id_)
                # Its id would tell of a resource that the token need not see; the CapabilityStatement tells the URL.
                told = Conflict(f"{base} has the search parameter {one.code} already, by {after[other].url}; "
                                "there is one of a code at a time.", expression="SearchParameter.code")
                raise _about(told, came)
            of_type[base] = of_type.get(base, 0) + 1
            if of_type[base] > MOST_OF_A_TYPE:
                raise Conflict(f"{base} has {MOST_OF_A_TYPE} custom search parameters, which is the most.",
                               expression="SearchParameter.base")


def _refuse_many_runs(connection: Connection, tenant: Tenant) -> None:
    waiting = index_runs.unfinished(connection, tenant)
    if waiting >= MOST_RUNS:
        error = TooManyRequests(
            f"{waiting} runs over the index are not done yet; define further search parameters once they are, or "
            "several in one transaction: that is one run.", expression="SearchParameter")
        error.headers["Retry-After"] = str(RETRY_SECONDS)
        raise error


def settle(connection: Connection, tenant: Tenant, run: int) -> None:
    """End the states that a finished run was for."""
    here = (custom_parameter.c.tenant == tenant.id) & (custom_parameter.c.run == run)
    state = custom_parameter.c.state
    ready = connection.execute(update(custom_parameter).where(here, state == INDEXING).values(state=READY))
    removed = connection.execute(delete(custom_parameter).where(here, state == REMOVING))
    if ready.rowcount or removed.rowcount:
        announce(connection, tenant)


def described(connection: Connection, tenant: Tenant, run: int) -> list[tuple[str, str, str]]:
    """Return resource id, code and state of the parameters that a run is or was for."""
    rows = connection.execute(ROWS, {"tenant": tenant.id})
    return [(row.id, definition_of(row, tenant).code, row.state) for row in rows if row.run == run]
