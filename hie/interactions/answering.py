"""The answers of a resource beside the questionnaires that they are to: https://hl7.org/fhir/R4/questionnaireresponse.html

A questionnaire is what the response contains, or what is stored and the token may see; another one is as if it were not
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hie.errors import TooCostly
from hie.fhir import json_format
from hie.fhir.validation.issue import Issue

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

Json = dict[str, Any]

#: Questionnaires that one resource asks for: a Bundle may have thousands of responses.
MOST_LOOKED_UP = 100
#: Bytes of these, beyond which no further one is read.
MOST_BYTES = 50_000_000


def answer_issues(resource: Json, store: ResourceStore) -> list[Issue]:
    """Give what is wrong with each QuestionnaireResponse that a valid resource is, contains or carries."""
    rows = list(_responses(resource))
    if not rows:
        return []
    from hie.fhir.questionnaires import problems
    from hie.store.terminology import terminology

    issues: list[Issue] = []
    stored = _Stored(store)
    service = terminology(store)
    for response, holder, path in rows:
        canonical = response.get("questionnaire")
        if not isinstance(canonical, str):
            continue
        if canonical.startswith("#"):
            questionnaire, why = _contained(holder, canonical[1:]), "it is not contained."
        else:
            questionnaire, why = stored.find(canonical)
        if questionnaire is None:
            text = f"The answers are not checked by the questionnaire {canonical[:300]}: {why}"
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


class _Stored:
    """The questionnaires that one resource names, of which so many, and so large ones, are kept."""

    def __init__(self, store: ResourceStore) -> None:
        self._store, self._bytes = store, 0
        self._found: dict[str, tuple[Json | None, str]] = {}

    def find(self, canonical: str) -> tuple[Json | None, str]:
        """Find that of the version named, or else that in use with the highest; None, and why."""
        if canonical not in self._found:
            if len(self._found) >= MOST_LOOKED_UP:
                return None, f"{MOST_LOOKED_UP} others are named."
            if self._bytes >= MOST_BYTES:
                return None, f"the others that are named have more than {MOST_BYTES} bytes."
            self._found[canonical] = self._asked(canonical)
        return self._found[canonical]

    def _asked(self, canonical: str) -> tuple[Json | None, str]:
        from hie.store.terminology import StoredTerminology

        url, _, version = canonical.partition("|")
        try:
            known = StoredTerminology(self._store).find("Questionnaire", url, version or None)
        except TooCostly as error:  # of so many with one URL it is not known which is meant
            return None, str(error)
        if known is None:
            return None, "it is not stored here."
        self._bytes += len(json_format.dump(known.resource))
        return known.resource, ""
