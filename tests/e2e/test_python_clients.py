"""Clients that others wrote in Python, as their own documents use them, against a started server.

fhirclient: https://pypi.org/project/fhirclient/ · fhirpy: https://pypi.org/project/fhirpy/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from fhirclient import server as fhirclient_server
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import AuthorizationError, MultipleResourcesFound, OperationOutcome, ResourceNotFound

from hie.fhir import xml_format
from tests.builders import bundle, observation, patient, post

MEMBER = "urn:uuid:6b1a4a2c-6a3f-4d0e-8c9c-0f3b6f0f7f11"


@pytest.fixture(scope="module")
def exchange(shared: Callable[..., Any]) -> Any:
    return shared()


def family(name: str, members: int) -> dict[str, Any]:
    """Return a transaction: one patient and some observations of them."""
    rows = [post(patient(name, identifier="w"), MEMBER)]
    return bundle(*rows, *(post(observation(MEMBER, 60 + n)) for n in range(members)))


@pytest.mark.proves("interaction:create", "interaction:read", "interaction:update", "interaction:delete",
                    "interaction:search-type", "system:transaction")  # fmt: skip
def test_fhirclient(exchange: Any) -> None:
    smart = FHIRClient(settings={"app_id": "tests", "api_base": f"{exchange.address}/fhir"})
    server = smart.server
    assert smart.prepare(), "the statement, read without a token, asks for no launch"
    assert server.capabilityStatement.fhirVersion == "4.0.1"
    with pytest.raises(fhirclient_server.FHIRUnauthorizedException):
        Patient.read("a", server)
    server.session.headers["Authorization"] = f"Bearer {exchange.token}"

    made = Patient(Patient(patient("Jones")).create(server))
    read = Patient.read(made.id, server)
    assert (read.name[0].family, read.meta.versionId) == ("Jones", "1")

    server.session.headers["If-Match"] = 'W/"1"'
    read.gender = "other"
    assert read.update(server)["meta"]["versionId"] == "2"
    with pytest.raises(requests.HTTPError) as stale:
        read.update(server)
    assert stale.value.response.status_code == 412
    assert stale.value.response.json()["resourceType"] == "OperationOutcome"
    del server.session.headers["If-Match"]

    assert len(Bundle(Bundle(family("Walker", 5)).create(server)).entry) == 6
    search = Observation.where({"subject:Patient.family": "walker", "_count": "2"}).include("subject")
    pages = [[row.resource.resource_type for row in page.entry] for page in search.perform_iter(server)]
    assert pages == [["Observation", "Observation", "Patient"]] * 2 + [["Observation", "Patient"]]
    old = Patient.where({"birthdate": "lt1980", "family": "jones,walker"}).perform_resources_iter(server)
    assert [one.name[0].family for one in old] == ["Jones", "Walker"]
    as_xml = server.request_data(f"Patient/{made.id}", headers={"Accept": "application/fhir+xml"})
    assert xml_format.parse(as_xml)["gender"] == "other"

    assert (read.delete(server) or {"resourceType": "OperationOutcome"})["resourceType"] == "OperationOutcome"
    with pytest.raises(requests.HTTPError, match="410"):
        Patient.read(made.id, server)
    with pytest.raises(fhirclient_server.FHIRNotFoundException):
        Patient.read("nobody", server)


def test_fhirpy(exchange: Any) -> None:
    client = SyncFHIRClient(f"{exchange.address}/fhir", authorization=f"Bearer {exchange.token}")
    assert client.execute("metadata", "get")["fhirVersion"] == "4.0.1"
    with pytest.raises(AuthorizationError):
        SyncFHIRClient(f"{exchange.address}/fhir").get("Patient", "a")

    one = client.resource("Patient", **patient("Hart", identifier="j"))
    one.save()
    with pytest.raises(OperationOutcome, match="If-None-Exist"):  # R4 knows no criteria in the URL of a create
        client.resources("Patient").search(identifier="j").get_or_create(client.resource("Patient", **patient("Hart")))
    once = SyncFHIRClient(client.url, client.authorization, {"If-None-Exist": "identifier=j"})
    assert once.resource("Patient", **patient("Hart")).save().id == one.id
    assert client.reference("Patient", one.id).to_resource()["name"][0]["family"] == "Hart"
    one.refresh()
    assert one["meta"]["versionId"] == "1"

    careful = SyncFHIRClient(client.url, client.authorization, {"If-Match": 'W/"1"'})
    changed = careful.resource("Patient", **{**one.serialize(), "gender": "other"})
    assert changed.update()["meta"]["versionId"] == "2"
    with pytest.raises(MultipleResourcesFound, match="OperationOutcome"):  # its word for 412
        changed.update()
    merging = SyncFHIRClient(client.url, client.authorization, {"Content-Type": "application/merge-patch+json"})
    patched = merging.patch("Patient", one.id, birthDate="1999-01-01")
    assert (patched["meta"]["versionId"], patched["birthDate"], patched["gender"]) == ("3", "1999-01-01", "other")
    assert merging.resources("Patient").search(identifier="j").patch(active=True)["active"] is True

    transaction = {key: value for key, value in family("Rider", 5).items() if key != "resourceType"}
    client.resource("Bundle", **transaction).save()
    found = client.resources("Observation").search(subject__Patient__family="rider", value_quantity__ge=60).limit(2)
    assert sorted(row["valueQuantity"]["value"] for row in found) == [60, 61, 62, 63, 64]
    with pytest.raises(OperationOutcome, match="_totalMethod"):  # a parameter of Aidbox's
        found.count()
    lenient = SyncFHIRClient(client.url, client.authorization, {"Prefer": "handling=lenient"})
    assert lenient.resources("Observation").search(subject__Patient__family="rider").count() == 5
    with_patient = found.include("Observation", "subject").fetch_raw()
    assert [row["search"]["mode"] for row in with_patient["entry"]] == ["match", "match", "include"]
    rider = client.resources("Patient").search(family="rider").has("Observation", "patient", code="8867-4").get()
    assert client.resources("Observation").search(patient=rider).sort("-date").first()["status"] == "final"
    assert rider.execute("$everything", "get")["resourceType"] == "Bundle"

    with pytest.raises(OperationOutcome) as refused:
        client.resources("Patient").search(famly="x").fetch()
    assert refused.value.resource["issue"][0]["code"] == "invalid"
    assert client.resource("Patient", gender="x").is_valid() is False
    one.delete()
    with pytest.raises(ResourceNotFound, match="deleted"):
        client.get("Patient", one.id)
