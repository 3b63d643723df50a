"""The audit trail as a searchset of AuditEvents: https://hl7.org/fhir/R4/auditevent.html"""

from __future__ import annotations

import base64
from typing import Any

from hie.errors import InvalidRequest
from hie.fhir.facts import RESOURCE_TYPES
from hie.store import audit
from hie.store.crypto import SealBroken
from hie.web.admin import inputs
from hie.web.admin.request import AdminRequest, AdminResponse, moment

FILTERS = ("since", "until", "client", "patient", "entity", "interaction", "status", "count", "cursor")
#: https://hl7.org/fhir/R4/valueset-audit-event-action.html
_ACTIONS = {
    "create": "C", "read": "R", "vread": "R", "update": "U", "patch": "U", "delete": "D", "delete-history": "D",
    "history-instance": "R", "history-type": "R", "history-system": "R", "capabilities": "R",
    "definition": "R",
}  # fmt: skip
_R4 = "http://hl7.org/fhir/restful-interaction"
#: Its codes, as far as requests have them: https://hl7.org/fhir/R4/codesystem-restful-interaction.html
_OF_R4 = (frozenset(_ACTIONS) - {"delete-history", "definition"}
          | {"search-type", "search-system", "transaction", "batch"})
#: What R4 has no code for: operations by their names, their definitions, delete-history, and what administers.
_OWN = "urn:x-hie:interaction"


def search_audit(request: AdminRequest) -> AdminResponse:
    """Records that match every filter, newest first."""
    store, count = request.application.store, inputs.count(request.query)
    keys = store.tenants[request.tenant].audit_keys
    store.database.settle_records()
    rows = audit.find(
        request.connection,
        keys,
        request.tenant,
        since=inputs.start_of(request.query, "since"),
        until=inputs.start_of(request.query, "until"),
        client=request.query.get("client"),
        interaction=request.query.get("interaction"),
        status=_status(request),
        entity=inputs.reference(request.query, "entity"),
        patient=_patient(request),
        before=_position(request),
        count=count + 1,
    )
    page = rows[:count]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": _links(request, rows, page)}
    if page:
        base = request.application.base_url
        bundle["entry"] = [
            {"fullUrl": f"{base}/AuditEvent/{event['id']}", "resource": event, "search": {"mode": "match"}}
            for event in map(_event, page)
        ]
    return AdminResponse(200, bundle)


def _status(request: AdminRequest) -> int | None:
    value = request.query.get("status")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) == 3):
        raise InvalidRequest(f"status is {value[:40]!r}; it must be an HTTP status such as 403.", expression="status")
    return int(value)


def _patient(request: AdminRequest) -> str | None:
    value = request.query.get("patient")
    if value is None:
        return None
    named = inputs.reference({"patient": value if "/" in value else f"Patient/{value}"}, "patient")
    if named is None or named[0] != "Patient":
        raise InvalidRequest(f"patient is {value[:80]!r}; it must read Patient/[id].", expression="patient")
    return named[1]


def _links(request: AdminRequest, rows: list[dict[str, Any]], page: list[dict[str, Any]]) -> list[dict[str, str]]:
    links = [{"relation": "self", "url": _url(request, {})}]
    if len(rows) > len(page):
        last = page[-1]
        position = f"{last['at']}|{last['stream']}|{last['seq']}"
        cursor = request.application.store.tenants[request.tenant].seal_text(position)
        links.append({"relation": "next", "url": _url(request, {"cursor": cursor})})
    return links


def _url(request: AdminRequest, changed: dict[str, str]) -> str:
    from urllib.parse import urlencode

    query = urlencode({**request.query, **changed})
    return f"{request.url}?{query}" if query else request.url


def _position(request: AdminRequest) -> tuple[int, str, int] | None:
    cursor = request.query.get("cursor")
    if cursor is None:
        return None
    try:
        at, stream, seq = request.application.store.tenants[request.tenant].open_text(cursor).split("|")
        return int(at), stream, int(seq)
    except (SealBroken, ValueError) as error:
        raise InvalidRequest("cursor is not one that this server gave.", expression="cursor") from error


def _event(row: dict[str, Any]) -> dict[str, Any]:
    event = {
        "resourceType": "AuditEvent",
        "id": f"{row['stream']}-{row['seq']}",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": _subtype(row["interaction"] or "unknown"),
        "action": _ACTIONS.get(row["interaction"], "E"),
        "recorded": moment(row["at"]),
        "outcome": _outcome(row["status"]),
        "outcomeDesc": f"HTTP {row['status']}",
        "agent": [{"who": _who(row["client"]), "requestor": True}],
        "source": {"observer": {"display": "hie"}},
    }
    entities = _entities(row)
    if entities:
        event["entity"] = entities
    return event


def _subtype(interaction: str) -> list[dict[str, str]]:
    if interaction in _OF_R4:
        return [{"system": _R4, "code": interaction}]
    operation = [{"system": _R4, "code": "operation"}] if interaction[0] == "$" else []
    return [{"system": _OWN, "code": interaction}, *operation]


def _outcome(status: int) -> str:
    """https://hl7.org/fhir/R4/valueset-audit-event-outcome.html"""
    if status < 400:
        return "0"
    return "4" if status < 500 else "8"


def _who(client: str) -> dict[str, Any]:
    return {"identifier": {"value": client}} if client else {"display": "not authenticated"}


def _entities(row: dict[str, Any]) -> list[dict[str, Any]]:
    query = base64.b64encode(row["query"].encode()).decode() if row.get("query") else None
    touched = [f"{row['type']}/{row['id']}"] if row.get("type") and row.get("id") else []
    touched += [one for one in row.get("touched", ()) if one not in touched]
    if row.get("patient") and f"Patient/{row['patient']}" not in touched:
        touched.append(f"Patient/{row['patient']}")
    entities: list[dict[str, Any]] = [
        {"what": {"reference": one}} for one in touched if one.partition("/")[0] in RESOURCE_TYPES
    ]
    if query:
        # invariant sev-1: an entity has a name or a query, not both
        entities.append({"what": {"display": row.get("type") or "system"}, "query": query})
    if row.get("request"):
        entities.append({"what": {"identifier": {"value": row["request"]}}, "description": "request id"})
    return entities
