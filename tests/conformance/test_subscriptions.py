"""A Subscription is no promise here: one that is to be carried out is refused. https://hl7.org/fhir/R4/subscription.html"""

import json

import pytest

from tests.builders import bundle, post

STATUS = "Subscription.status"


def subscription(status: str) -> dict:
    return {
        "resourceType": "Subscription", "status": status, "reason": "To know of it", "criteria": "Observation?code=1",
        "channel": {"type": "rest-hook", "endpoint": "https://example.org/told", "payload": "application/fhir+json"},
    }  # fmt: skip


@pytest.mark.parametrize("status", ["requested", "active"])
def test_a_subscription_that_is_to_be_carried_out_is_refused(fhir, status):
    """It was stored, and who had asked for it waited for what never came."""
    wanted = subscription(status)
    fhir.post("Subscription", wanted).refused(400, "not-supported", STATUS, "nothing is notified here")
    fhir.put("Subscription/1", {**wanted, "id": "1"}).refused(400, "not-supported", STATUS)
    refused = fhir.post("", bundle(post(wanted)))
    refused.refused(400, "not-supported", "Bundle.entry[0].resource.status")
    asked = fhir.post("Subscription/$validate?mode=create", wanted)
    assert [one["code"] for one in asked.json["issue"] if one["severity"] == "error"] == ["not-supported"]
    assert fhir.total("Subscription") == 0


def test_one_that_is_off_is_stored_and_cannot_be_switched_on(fhir):
    made = fhir.create(subscription("off"))["id"]
    fhir.create(subscription("error"))
    assert fhir.total("Subscription?status=off,error") == 2
    fhir.put(f"Subscription/{made}", {**subscription("active"), "id": made}).refused(400, "not-supported", STATUS)
    patch = json.dumps([{"op": "replace", "path": "/status", "value": "requested"}])
    fhir("PATCH", f"Subscription/{made}", patch, Content_Type="application/json-patch+json").refused(
        422, "not-supported", STATUS)
    assert fhir.get(f"Subscription/{made}").vid == "1"
