"""The answers of a resource beside the questionnaires that they are to: https://hl7.org/fhir/R4/questionnaireresponse.html

A questionnaire is what the response contains, or what is stored and the token may see; another one is as if it were not
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from hie.errors import TooCostly
from hie.fhir.validation.issue import Issue

if TYPE_CHECKING:
    from hie.fhir.questionnaires import Form
    from hie.interactions.judging import Judging
    from hie.store.resources import ResourceStore

Json = dict[str, Any]

#: Questionnaires that one resource asks for: a Bundle may have thousands of responses.
MOST_LOOKED_UP = 100
#: Names the terminology of answers; a package's name has a "#".
_ANSWERS = "answers"
#: Bytes of these, beyond which no further one is read.
MOST_BYTES = 50_000_000
_FEWER = "Send fewer responses at once."


def answer_issues(resource: Json, store: ResourceStore, judging: Judging) -> list[Issue]:
    """Give what is wrong with each QuestionnaireResponse that a valid resource is, contains or carries."""
    rows = list(_responses(resource))
    if not rows:
        return []
    from hie.fhir.profiles.terminology import within
    from hie.fhir.questionnaires import problems
    from hie.store.terminology import terminology

    issues: list[Issue] = []
    forms = _Forms(_Stored(store, judging))
    service = judging.service(_ANSWERS, lambda: terminology(store))
    in_value_set = within(judging.time, service.in_value_set)

    def in_contained(value_set: Json, container: Json, system: str | None, code: str) -> bool | None:
        asked = within(judging.time, lambda _, *coded: service.in_contained(value_set, container, *coded))
        return asked(f"#{value_set.get('id')}", system, code)

    for response, holder, path in rows:
        canonical = response.get("questionnaire")
        if not isinstance(canonical, str):
            continue
        if not judging.time.may_begin(f"the questionnaire {canonical}"):
            continue
        with judging.time:
            looked = forms.find(canonical, holder)
            if looked.form is not None:
                issues += problems(response, looked.form, in_value_set, path, in_contained)
                continue
        text = f"The answers are not checked by the questionnaire {canonical[:300]}: {looked.why}"
        at = f"{path}.questionnaire"
        issues.append(Issue("error", "too-costly", text, at) if looked.is_costly
                      else Issue("information", "informational", text, at))
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


class _Looked(NamedTuple):
    """A questionnaire, or why there is none to judge by; `is_costly`: it may be there, and was not looked for."""

    form: Form | None
    why: str = ""
    is_costly: bool = False


def _known(form: Form | None, why: str = "") -> _Looked:
    """Give a questionnaire to judge by, unless it means what is not known here.

    https://hl7.org/fhir/R4/extensibility.html#modifierExtension
    """
    if form is not None and form.is_modified:
        return _Looked(None, "it has modifier extensions or implicitRules; what these make of it is not known here.")
    return _Looked(form, why)


class _Forms:
    """The questionnaires that are contained where the answers are, and those that are stored."""

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored
        self._holder: Json | None = None
        self._contained: dict[str, Form] = {}

    def find(self, canonical: str, holder: Json) -> _Looked:
        """Find what is meant."""
        if not canonical.startswith("#"):
            return self._stored.find(canonical)
        if holder is not self._holder:
            from hie.fhir.questionnaires import Form

            self._holder = holder
            self._contained = {str(one.get("id")): Form(one, holder) for one in holder.get("contained", ())
                               if one.get("resourceType") == "Questionnaire"}
        return _known(self._contained.get(canonical[1:]), "it is not contained.")


class _Stored:
    """The questionnaires that one resource names, of which so many, and so large ones, are kept."""

    def __init__(self, store: ResourceStore, judging: Judging) -> None:
        self._source, self._judging = judging.source(store), judging
        self._bytes = 0
        self._found: dict[str, _Looked] = {}

    def find(self, canonical: str) -> _Looked:
        """Find that of the version named, or else that in use with the highest."""
        if canonical not in self._found:
            if len(self._found) >= MOST_LOOKED_UP:
                return _Looked(None, f"{MOST_LOOKED_UP} others are named. {_FEWER}", is_costly=True)
            if self._bytes >= MOST_BYTES:
                why = f"the others that are named have more than {MOST_BYTES} bytes. {_FEWER}"
                return _Looked(None, why, is_costly=True)
            self._found[canonical] = self._asked(canonical)
        return self._found[canonical]

    def _asked(self, canonical: str) -> _Looked:
        url, _, version = canonical.partition("|")
        try:
            known = self._source.find("Questionnaire", url, version or None)
        except TooCostly as error:  # of so many with one URL it is not known which is meant
            return _Looked(None, str(error), is_costly=True)
        if known is None:
            return _Looked(None, "it is not stored here.")
        form = self._judging.form(known)
        self._bytes += form.size
        return _known(form)
