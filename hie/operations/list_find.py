"""List/$find: https://hl7.org/fhir/R4/list-operation-find.html"""

from __future__ import annotations

import re
from dataclasses import replace

from hie.context import Context
from hie.errors import InvalidRequest, NotFound, Unprocessable
from hie.fhir import json_format, summary
from hie.fhir.http import FhirRequest, FhirResponse
from hie.interactions import answers, functional_lists
from hie.operations import answer_parameters
from hie.registry import Operation, Parameter, standard_parameters

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


class _Several(Unprocessable):
    code = "multiple-matches"


def find(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the List that serves a function for a patient."""
    patient, name = request.parameter("patient") or "", request.parameter("name") or ""
    if not _ID.fullmatch(patient):
        raise InvalidRequest(f"patient is {patient[:80]!r}; it is the id of a Patient here.", expression="patient")
    selection = summary.of_resource(request, "List")
    name = name if name.startswith("$") else f"${name}"
    found = functional_lists.lists(name, (("patient", patient),), ctx, "name")
    if not found:
        raise NotFound(f"There is no list {name} of Patient/{patient} here.", expression="name")
    if len(found) > 1:
        raise _Several(f"Several Lists of Patient/{patient} serve as {name}: "
                       f"{', '.join(f'List/{one.id}' for one in found)[:800]}.", expression="name")
    answer = answers.current(found[0])
    return answer if selection is None else replace(
        answer, content=json_format.dump(selection.of(json_format.parse(answer.content or b"{}"))))


OPERATION = Operation(
    code="find",
    levels=frozenset({"type"}),
    types=frozenset({"List"}),
    function=find,
    definition="http://hl7.org/fhir/OperationDefinition/List-find",
    parameters=(
        *standard_parameters("find@List", {
            "patient": "The id of the Patient.",
            "name": "The function: current-problems, current-medications or current-allergies, with or without $.",
        }),
        answer_parameters.SUMMARY, answer_parameters.ELEMENTS,
    ),
    returns=(Parameter("return", "List", 1, documentation="The List, as a read gives it."),),
    documentation="The List that serves a function for a patient.",
)
