"""What the operations on CodeSystem, ValueSet and ConceptMap read of their input parameters.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, TooCostly
from hie.fhir import json_format
from hie.fhir.http import FhirRequest
from hie.fhir.terminology.languages import Languages
from hie.fhir.terminology.terminology import Terminology, Versions, split_canonical
from hie.operations import contexts
from hie.registry import Parameter

Json = dict[str, Any]

#: https://hl7.org/fhir/R5/valueset-operation-expand.html
USED_SUPPLEMENTS = Parameter(
    "useSupplement", "canonical", max="*",
    documentation="A supplement that is used as where a value set names it. A parameter of R5.")
#: Why a date is refused: what is answered is what the definitions say now.
NO_DATE = {"date": "The definitions are used as they are now."}
_DISPLAY_LANGUAGE = "The language of displays, or the first of several that there is, as in de-CH,fr;q=0.5."
#: What is said of codes.
TOLD_OF_CODES = {
    "code": "The code that is asked about.",
    "system": "The code system of `code`; url|version, too.",
    "coding": "The code as a Coding: in a Parameters resource.",
    "codeableConcept": "Several codings, of which one has to do: in a Parameters resource.",
    "display": "What the code is called, which has to be one of its names.",
    "displayLanguage": _DISPLAY_LANGUAGE,
}
#: How a value set is named.
TOLD_OF_VALUE_SETS = {
    "url": "The canonical URL of the value set, where the address names none; with |version, too.",
    "valueSet": "The value set itself.",
    "valueSetVersion": "The version of the value set that `url` names.",
    "context": "An element with a binding: of R4, such as Patient.gender, or [URL]#[path or id] of a profile.",
    "displayLanguage": _DISPLAY_LANGUAGE,
}
#: Parameters that say which versions of code systems are meant.
TOLD_OF_VERSIONS = {
    "system-version": "A version of a code system, system|version, where the value set says none.",
    "check-system-version": "A version of a code system, system|version; a value set that says another is refused.",
    "force-system-version": "A version of a code system, system|version, whatever the value set says.",
}
#: Codings of one CodeableConcept.
MOST_CODINGS = 100


@dataclass(frozen=True, slots=True)
class Coding:
    """One code that is asked about."""

    system: str | None
    code: str
    version: str | None = None
    display: str | None = None
    place: str = ""
    """Where it stands: Coding, or CodeableConcept.coding[0]."""

    @property
    def is_of_concept(self) -> bool:
        """Tell whether it is one of the codings of a CodeableConcept."""
        return self.place.startswith("CodeableConcept")

    def __str__(self) -> str:
        return f"{self.system or ''}|{self.code}"[:300]


def codings(
    request: FhirRequest, system: str = "system", version: str = "version",
    ways: tuple[str, ...] = ("code", "coding", "codeableConcept"),
) -> list[Coding]:  # fmt: skip
    """Return the codes that are asked about: of code and system, coding or codeableConcept, one of which is given.

    What the parameters `system` (url|version, too), `version` and `display` say holds for a coding that does not say
    it; of a concept, whose codings may be of several systems, only a code system is named. What has no code is not
    there.
    """
    code, coding, concept = request.parameter("code"), request.argument("coding"), request.argument("codeableConcept")
    given = [name for name, value in (("code", code), ("coding", coding), ("codeableConcept", concept))
             if value is not None]
    if len(given) != 1:
        raise InvalidRequest(f"${request.operation} needs one of {', '.join(ways[:-1])} and {ways[-1]}; found "
                             f"{' and '.join(given) or 'none'}.", expression="code")
    url, stated = named_system(request, system)
    in_version = one_version(version, request.parameter(version), stated)
    display = request.parameter("display")
    if code is not None:
        return [Coding(url, code, in_version, display)]
    if concept is not None:
        _refuse_of_one_coding(request, ("display",) if system == "url" else (system, version, "display"))
    rows = [coding] if coding is not None else concept.get("coding", [])
    if len(rows) > MOST_CODINGS:
        raise TooCostly(f"The concept has {len(rows)} codings; at most {MOST_CODINGS} are looked up at once.",
                        expression="codeableConcept")
    if concept is not None:
        return [replace(as_coding(one), place=f"CodeableConcept.coding[{at}]") for at, one in enumerate(rows)
                if "code" in one]
    return [_shown(completed(replace(as_coding(one), place="Coding"), "coding", url if system == "system" else None,
                             in_version), display) for one in rows if "code" in one]


def _refuse_of_one_coding(request: FhirRequest, names: tuple[str, ...]) -> None:
    """Refuse what would be said of one of the codings of a concept, nobody knows which."""
    for name in names:
        if request.parameter(name) is not None:
            raise InvalidRequest(f"{name} is said of a code or a coding; the codings of a codeableConcept each say "
                                 "it themselves.", expression=name)


def _shown(coding: Coding, display: str | None) -> Coding:
    """Return a coding with the display that a parameter gives; it may not contradict."""
    if display is not None and coding.display not in (None, display):
        raise InvalidRequest(f"The coding has the display {coding.display!r:.80}, the parameter display says "
                             f"{display!r:.80}; leave one out.", expression="display")
    return replace(coding, display=coding.display or display)


def named_system(request: FhirRequest, name: str = "system") -> tuple[str | None, str | None]:
    """Return URL and version of the code system that a parameter names; it may be written url|version."""
    text = request.parameter(name)
    return (None, None) if text is None else split_canonical(text)


def one_version(expression: str, *stated: str | None) -> str | None:
    """Return the version that all name who name one; None where nobody does."""
    named = list(dict.fromkeys(one for one in stated if one is not None))
    if len(named) > 1:
        raise InvalidRequest(f"Two versions of the code system are asked for: {named[0][:80]} and {named[1][:80]}.",
                             expression=expression)
    return named[0] if named else None


def completed(coding: Coding, name: str, url: str | None, version: str | None) -> Coding:
    """Return a coding with the system and version that other parameters name; they may not contradict it."""
    if url is not None and coding.system not in (None, url):
        raise InvalidRequest(f"{name} is of {(coding.system or '')[:200]}, the parameter system names {url[:200]}.",
                             expression="system")
    return replace(coding, system=coding.system or url, version=one_version(name, coding.version, version))


def as_coding(row: Json) -> Coding:
    """Read a Coding that has a code."""
    return Coding(row.get("system"), row["code"], row.get("version"), row.get("display"))


def languages(request: FhirRequest) -> Languages | None:
    """Return the languages that displays are wanted in; None where it does not matter."""
    text = request.parameter("displayLanguage")
    try:
        return None if text is None else Languages(text)
    except ValueError as error:
        raise InvalidRequest(f"displayLanguage {error}.", expression="displayLanguage") from None


def boolean(request: FhirRequest, name: str) -> bool | None:
    """Return a boolean parameter; None where it is absent."""
    text = request.parameter(name)
    if text not in (None, "true", "false"):
        raise InvalidRequest(f"{name} is {text[:80]!r}; it must be true or false.", expression=name)
    return None if text is None else text == "true"


def integer(request: FhirRequest, name: str) -> int | None:
    """Return a parameter that is a whole number from 0; None where it is absent."""
    text = request.parameter(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest(f"{name} is {text[:80]!r}; it must be a whole number from 0.", expression=name)
    return int(text)


def all_of(request: FhirRequest, name: str) -> tuple[str, ...]:
    """Return every value of a parameter that may be repeated."""
    return tuple(value for key, value in request.parameters if key == name)


def use_supplements(request: FhirRequest, terminology: Terminology) -> Terminology:
    """Let what is asked be answered with the supplements that are named."""
    terminology.use(all_of(request, USED_SUPPLEMENTS.name))
    return terminology


def versions(request: FhirRequest) -> Versions:
    """Return which versions of code systems are to be used."""
    return Versions(*(_by_system(request, name) for name in TOLD_OF_VERSIONS))


def _by_system(request: FhirRequest, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for canonical in all_of(request, name):
        url, version = split_canonical(canonical)
        if version is None:
            raise InvalidRequest(f"{name} is written system|version; found {canonical[:200]!r}.", expression=name)
        found[url] = one_version(name, found.get(url), version) or version
    return found


def value_set_of(request: FhirRequest, ctx: Context, terminology: Terminology) -> Json:
    """Return the value set that the URL, the parameter valueSet, url or context names; one of them is given."""
    given = request.argument("valueSet")
    if request.id is not None:
        also = [name for name in ("url", "context", "valueSetVersion") if request.parameter(name) is not None]
        return stored(request, ctx, also + (["valueSet"] if given is not None else []))
    url, context = request.parameter("url"), request.parameter("context")
    if [given, url, context].count(None) != 2:
        raise InvalidRequest(f"${request.operation} needs one of url, valueSet and context.", expression="url")
    version = request.parameter("valueSetVersion")
    if given is not None:
        if version is not None:
            raise InvalidRequest("valueSetVersion says which version is meant of the value set that url names; here "
                                 "valueSet is the value set itself.", expression="valueSetVersion")
        return dict(given)
    canonical, stated = split_canonical(url if url is not None else contexts.bound_to(context or "", ctx))
    if version is not None and url is not None and stated not in (None, version):
        raise InvalidRequest(f"url asks for version {stated[:80]}, valueSetVersion for {version[:80]}.",
                             expression="valueSetVersion")
    version = version or stated
    return terminology.value_set_resource(canonical if version is None else f"{canonical}|{version}")


def stored(request: FhirRequest, ctx: Context, also: list[str]) -> Json:
    """Return the resource that the URL names; no parameter may name another one."""
    if also:
        raise InvalidRequest(f"The URL names {request.type}/{request.id} already; leave {' and '.join(also)} out.",
                             expression=also[0])
    resource: Json = json_format.parse(ctx.store.read(*request.instance).content or b"{}")
    return resource
