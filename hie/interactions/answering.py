"""The answers of a resource beside the questionnaires that they are to: https://hl7.org/fhir/R4/questionnaireresponse.html

A questionnaire is what the response contains, or what is stored and the token may see; another one is as if it were not
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hie.errors import FhirError
from hie.fhir.validation.issue import Issue

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

Json = dict[str, Any]

#: Questionnaires that one resource asks for: a Bundle may have thousands of responses.
MOST_LOOKED_UP = 100


def answer_issues(resource: Json, store: ResourceStore) -> list[Issue]:
    """Give what is wrong with each QuestionnaireResponse that a valid resource is, contains or carries."""
    rows = list(_responses(resource))
    if not rows:
        return []
    from hie.fhir.questionnaires import problems
    from hie.store.terminology import terminology

    issues: list[Issue] = []
    found: dict[str, Json | None] = {}
    service = terminology(store)
    for response, holder, path in rows:
        canonical = response.get("questionnaire")
        if not isinstance(canonical, str):
            continue
        if canonical.startswith("#"):
            questionnaire = _contained(holder, canonical[1:])
        else:
            if canonical not in found and len(found) < MOST_LOOKED_UP:
                found[canonical] = _stored(store, canonical)
            questionnaire = found.get(canonical)
        if questionnaire is None:
            text = f"The answers are not checked: no questionnaire {canonical[:300]} is stored here."
            issues.append(Issue("information", "informational", text, f"{path}.questionnaire"))
            continue
        issues += problems(response, questionnaire, service.in_value_set, path)
    return issues


def _responses(resource: Json) -> Iterator[tuple[Json, Json, str]]:
    """Give each response with the resource that contains its `#id`, and its path."""
    name = str(resource.get("resourceType"))
    yield from _of_one(resource, name)
    entries = resource.get("entry", ()) if name == "Bundle" else ()
    for index, entry in enumerate(entries):
        if isinstance(one := entry.get("resource"), dict):
            yield from _of_one(one, f"Bundle.entry[{index}].resource")


def _of_one(resource: Json, path: str) -> Iterator[tuple[Json, Json, str]]:
    if resource.get("resourceType") == "QuestionnaireResponse":
        yield resource, resource, path
    for index, one in enumerate(resource.get("contained", ())):
        if one.get("resourceType") == "QuestionnaireResponse":
            yield one, resource, f"{path}.contained[{index}]"


def _contained(holder: Json, id_: str) -> Json | None:
    return next((one for one in holder.get("contained", ())
                 if one.get("id") == id_ and one.get("resourceType") == "Questionnaire"), None)


def _stored(store: ResourceStore, canonical: str) -> Json | None:
    """Find the questionnaire of the version named, or else that in use with the highest."""
    from hie.store.terminology import StoredTerminology

    url, _, version = canonical.partition("|")
    try:
        known = StoredTerminology(store).find("Questionnaire", url, version or None)
    except FhirError:  # too many of one URL: none of them is known to be meant
        return None
    return None if known is None else known.resource
