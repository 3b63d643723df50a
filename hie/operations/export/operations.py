"""$export of the system, of all patients and of a group: https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hie.context import Context
from hie.errors import InvalidRequest, NotFound
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions.bulk_export import Entry, Export
from hie.operations.export.asked import Asked, asked_by
from hie.operations.export.records import records
from hie.operations.export.whole import whole
from hie.operations.group_everything import patients_of
from hie.operations.server_context import require
from hie.registry import Operation, Parameter

Files = Callable[[FhirRequest, Context], Export]

_PARAMETERS = (
    Parameter("_outputFormat", "string", documentation="application/fhir+ndjson, application/ndjson or ndjson, which "
              "are the same; there is no other."),
    Parameter("_since", "instant", documentation="What was changed later, and what was deleted: transactionTime of an "
              "earlier manifest."),
    Parameter("_type", "string", max="*", documentation="Types that are wanted, several with commas or repeated; "
              "without it all that the token may read and search."),
    Parameter("_elements", "string", max="*", documentation="Elements at the top that are wanted, as name or "
              "Patient.name, several with commas."),
    Parameter("includeAssociatedData", "string", max="*", documentation="RelevantProvenanceResources or "
              "LatestProvenanceResources: the Provenance of what is exported, whatever _type names."),
    Parameter("_typeFilter", "string", max="*", documentation="A search for one type, such as "
              "MedicationRequest?status=active: of that type what meets one of them."),
)
_OF_PATIENTS = (*_PARAMETERS, Parameter("patient", "Reference", max="*", documentation="Patients who alone are meant."))
_RETURNS = (Parameter("return", "OperationOutcome", 1, documentation="That it was accepted: the header "
                      "Content-Location is the address of its status, which answers the manifest once it is done."),)
_LATER = ("It is answered later, with Prefer: respond-async alone, by a manifest (application/json) and files "
          "(application/fhir+ndjson).")


def at_once(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Refuse to answer at once: files are made by a job."""
    raise InvalidRequest("$export is answered later: send it with Prefer: respond-async, and by itself, as no entry of "
                         "a Bundle.", expression="http.Prefer")


def of_system(request: FhirRequest, ctx: Context) -> Export:
    """Return what an export of the system lists."""
    asked = asked_by(request, ctx)
    return Export(partial(whole, asked), asked.elements, asked.left_out)


def of_all_patients(request: FhirRequest, ctx: Context) -> Export:
    """Return what an export of all patients lists, or of those who are named. NotFound."""
    require(ctx, "Patient", "s")
    asked = asked_by(request, ctx)
    if asked.patients is not None:
        _refuse_unknown(asked.patients, ctx)
    patients = None if asked.patients is None else sorted(asked.patients)
    return Export(partial(records, asked, patients), asked.elements, asked.left_out)


def _refuse_unknown(patients: frozenset[str], ctx: Context) -> None:
    seen = {row.id for row in ctx.store.rows_of([("Patient", one) for one in sorted(patients)])}
    unknown = sorted(patients - seen)
    if unknown:
        raise NotFound(f"Patient/{unknown[0]} is not known here.", expression="patient")


def of_group(request: FhirRequest, ctx: Context) -> Export:
    """Return what an export of a group's patients lists. NotFound, Gone, Unprocessable."""
    asked = asked_by(request, ctx)
    members = _members(request, ctx)
    strangers = sorted((asked.patients or frozenset()) - set(members))
    if strangers:
        raise InvalidRequest(f"Patient/{strangers[0]} is no member of Group/{request.id}.", expression="patient")
    return Export(partial(_of_members, request, asked), asked.elements, asked.left_out)


def _of_members(request: FhirRequest, asked: Asked, ctx: Context) -> Iterator[Entry]:
    """Yield the records of who is in the group at the moment that the files show."""
    members = _members(request, ctx)
    if asked.patients is not None:
        members = [one for one in members if one in asked.patients]
    yield from records(asked, members, ctx)


def _members(request: FhirRequest, ctx: Context) -> list[str]:
    return patients_of(json_format.parse(ctx.store.read(*request.instance).content or b"{}"), ctx)


def _export(name: str, level: str, types: frozenset[str] | None, files: Files, told: str) -> Operation:
    """Return the operation of one of the guide's three definitions."""
    return Operation(
        code="export",
        levels=frozenset({level}),
        types=types,
        function=at_once,
        definition=f"http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{name}",
        parameters=_PARAMETERS if types is None else _OF_PATIENTS,
        returns=_RETURNS,
        documentation=f"{told}, in files. {_LATER}",
        files=files,
    )


OPERATIONS = (
    _export("export", "system", None, of_system, "All resources that the token may read and search"),
    _export("patient-export", "type", frozenset({"Patient"}), of_all_patients,
            "The records of all patients, or of some, and what they refer to"),
    _export("group-export", "instance", frozenset({"Group"}), of_group,
            "The records of a group's patients, and what they refer to"),
)
