"""Subscriptions, of which none is carried out here: https://hl7.org/fhir/R4/subscription.html"""

from __future__ import annotations

from typing import Any

from hie.errors import NotSupported

#: What a client asks for, and what a server says that it does.
_WANTED = frozenset({"requested", "active"})


def refuse_wanted(resource: dict[str, Any]) -> None:
    """Refuse a valid resource that is a Subscription in use: who stored it would wait for what never comes."""
    status = resource.get("status")
    if resource.get("resourceType") == "Subscription" and status in _WANTED:
        raise NotSupported(
            f"A Subscription that is {status} is not supported: nothing is notified here. It can be stored as off or "
            "error; GET [type]/_history?_since=[instant]&_sort=_lastUpdated tells what was written since.",
            expression="Subscription.status",
        )
