"""ValueSet/$validate-code and CodeSystem/$validate-code: https://hl7.org/fhir/R4/terminology-service.html#validation"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, TooCostly, Unprocessable
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.displays import is_display
from hie.fhir.terminology.grammars import GRAMMARS
from hie.fhir.terminology.inferring import inferred
from hie.fhir.terminology.languages import display_in
from hie.fhir.terminology.member import Member
from hie.fhir.terminology.terminology import Terminology, split_canonical
from hie.fhir.terminology.value_set import ValueSet
from hie.operations import terminology_inputs as inputs
from hie.operations.terminology_inputs import Coding
from hie.operations.verdicts import Remark, Verdict, answer, refusal, told
from hie.registry import Operation, Parameter, standard_parameters, standard_returns
from hie.store.terminology import terminology

#: So many code systems that have one code are named.
_SHOWN_SYSTEMS = 5
#: Versions of one code system that the codings of a concept are of.
_MOST_VERSIONS = 5


def in_value_set(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell whether a code is in a value set."""
    asked = inputs.codings(request, version="systemVersion")
    is_inferred = _is_inferred(request)
    rooms: list[tuple[dict[str | None, str | None], ValueSet, Terminology]] = []

    def judge(coding: Coding) -> Verdict:
        value_set, service = next(one[1:] for one in rooms if one[0].get(coding.system) == coding.version)
        return _of_value_set(value_set, coding, service, request)

    wanted = inputs.versions(request)
    for versions in _versions_together(asked):
        stated = {system: version for system, version in versions.items() if system and version}
        service = terminology(ctx.store, replace(wanted, default={**wanted.default, **stated}))
        inputs.use_supplements(request, service)
        rooms.append((versions, ValueSet(inputs.value_set_of(request, ctx, service), service), service))
    if is_inferred:
        verdict = _inferred(*rooms[0][1:], request, asked[0])
        return told(verdict if inputs.boolean(request, "inferSystem") else replace(verdict, system=None))
    if not asked:
        inputs.value_set_of(request, ctx, terminology(ctx.store))  # which has to be there
        return told(_without_code(request))
    return answer(asked, judge)


def _versions_together(asked: list[Coding]) -> list[dict[str | None, str | None]]:
    """Part the versions that codings say of their code systems, so that each part has one of each system."""
    parted: list[dict[str | None, str | None]] = []
    for one in asked:
        found = next((each for each in parted if each.setdefault(one.system, one.version) == one.version), None)
        if found is None:
            parted.append({one.system: one.version})
    if len(parted) > _MOST_VERSIONS:
        raise TooCostly(f"The codings of the concept are of {len(parted)} versions of one code system; at most "
                        f"{_MOST_VERSIONS} are looked at.", expression="codeableConcept")
    return parted


def _is_inferred(request: FhirRequest) -> bool:
    """Tell whether the system of the code is to be found out, as that of a context's code is; one that is given stands.
    """
    wanted, has_code = inputs.boolean(request, "inferSystem") is True, request.parameter("code") is not None
    if wanted and not has_code:
        raise InvalidRequest("inferSystem is for a code; a coding says its system itself.", expression="inferSystem")
    if not has_code or request.parameter("system") is not None:
        return False
    if request.parameter("systemVersion") is not None:
        raise InvalidRequest("systemVersion needs the parameter system: of one that is not named it is that which "
                             "the value set means.", expression="systemVersion")
    return wanted or request.parameter("context") is not None


def _inferred(value_set: ValueSet, service: Terminology, request: FhirRequest, coding: Coding) -> Verdict:
    """Judge a code as of the one code system that has it in the value set; of several none is taken."""
    found, undecided = inferred(value_set, coding.code)
    if len(found) > 1:
        return _ambiguous(value_set, coding, found)
    if undecided:
        value_set.refuse_unusable()
        raise _undecided(replace(coding, system=undecided[0]), service)
    if found:
        coding = replace(coding, system=found[0])
        verdict = _judged(value_set.member(coding.system, coding.code), coding, service, request)
        return replace(verdict, system=coding.system)
    if value_set.has(None, coding.code) is None:
        value_set.refuse_unusable()
        raise _undecided(coding, service)
    return refusal("not-in-vs", f"The code {coding.code[:200]} is not in {_name(value_set)}: none of its code systems "
                   "has it there.")


def _ambiguous(value_set: ValueSet, coding: Coding, found: list[str]) -> Verdict:
    """Say that a code may be one of several code systems: which is meant must be clear.

    https://hl7.org/fhir/R4/valueset-operation-validate-code.html: the code is not ambiguous without a system.
    """
    shown = [url[:200] for url in found[:_SHOWN_SYSTEMS]] + ["others"] * (len(found) > _SHOWN_SYSTEMS)
    which = " and ".join(shown)
    return refusal("cannot-infer", f"The code {coding.code[:200]} is in {_name(value_set)} as one of {which}: which is "
                   "meant has to be said by system.")


def _of_value_set(value_set: ValueSet, coding: Coding, service: Terminology, request: FhirRequest) -> Verdict:
    if coding.system is None and len(several := inferred(value_set, coding.code).found) > 1:
        return _ambiguous(value_set, coding, several)
    found = value_set.has(coding.system, coding.code)
    if found is None:
        value_set.refuse_unusable()
        raise next(value_set.problems(coding.system), None) or _undecided(coding, service)
    if not found:
        return refusal("not-in-vs", f"The code {coding} is not in {_name(value_set)}{_known(coding, service)}.")
    if (other := _other_version(value_set, coding, service)) is not None:
        return refusal("version-error", f"The code {coding} is in {_name(value_set)} in version {other[:80]}, not in "
                       f"version {coding.version}.", element="version")
    return _judged(value_set.member(coding.system, coding.code), coding, service, request)


def _other_version(value_set: ValueSet, coding: Coding, service: Terminology) -> str | None:
    """Return the version in which a value set means a code, where it does not mean it in that which is asked for."""
    if coding.system is None or coding.version is None:
        return None
    others = list(value_set.versions_of(coding.system, coding.code))
    if any(one is None or _is_same(coding.system, one, coding.version, service) for one in others):
        return None
    return next(iter(others), None)


def _is_same(url: str, one: str, other: str, service: Terminology) -> bool:
    """Tell whether two versions are the same: by another name, 4.0.1, whatever came with R4 is known as well."""
    if one == other:
        return True
    found, known = (service.find("CodeSystem", url, version) for version in (one, other))
    return found is not None and known is not None and found.key == known.key


def _without_code(request: FhirRequest) -> Verdict:
    """Say that a concept, or a coding, has no code: what it says in words is in no value set, nor in a code system."""
    name = "coding" if request.argument("coding") is not None else "concept"
    remark = Remark("invalid-data", f"The {name} has no code.", "", "Coding" if name == "coding" else "CodeableConcept")
    return Verdict(False, (remark,))


def _name(value_set: ValueSet) -> str:
    """Name a value set in a message; one that was sent may have neither URL nor id."""
    url, id_ = value_set.resource.get("url"), value_set.resource.get("id")
    return f"the value set {url or f'ValueSet/{id_}'}" if url or id_ else "the value set that was sent"


def _known(coding: Coding, service: Terminology) -> str:
    """Say what the code system itself tells of a code that a value set has not."""
    if coding.system is None:
        return ""
    try:
        system = service.code_system(coding.system, coding.version)
    except FhirError:
        return ""
    if system.get(coding.code) is not None:
        return ", though its code system has it"
    return ", nor in its code system" if system.is_complete else ""


def in_code_system(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell whether a code is in a code system."""
    asked = _with_system(inputs.codings(request, system="url"), request)
    service = inputs.use_supplements(request, terminology(ctx.store))
    given = _given(request, ctx)
    url, version = (str(given.get("url", "")), None) if given is not None else _named(request, asked)
    if (named := inputs.named_system(request)[0]) not in (None, url):
        raise InvalidRequest(f"The code is of {str(named)[:200]}, the question of {url[:200]}.", expression="system")
    for one in asked:
        if one.system not in (None, url) and request.argument("codeableConcept") is None:
            raise InvalidRequest(f"The coding is of {(one.system or '')[:200]}, the question of {url[:200]}.",
                                 expression="coding")
    own = [one for one in asked if one.system in (None, url)]
    if not asked:
        return told(_without_code(request))
    if not own:
        return told(refusal("invalid-code", "No coding is of this code system.", element=""))
    if given is None and url in GRAMMARS:
        known = service.known_system(url, version)
        if known is None or not known.has_content:
            return answer(own, lambda one: _of_grammar(url, one))
    system = None
    if given is not None:
        system = service.given_system(given)
        _refuse_other_versions(system, request, asked)
        version = system.version

    def judge(one: Coding) -> Verdict:
        if None not in (version, one.version) and not _is_same(url, str(version), str(one.version), service):
            return refusal("version-error", f"The code {one} is of version {one.version}, the question of version "
                           f"{version}.", element="version")
        found = service.code_system(url, version or one.version) if system is None else system
        return _of_code_system(found, one, service, request)

    return answer(own, judge)


def _with_system(asked: list[Coding], request: FhirRequest) -> list[Coding]:
    """Return the code with the version that its system is written with; R4 speaks of "code+system", and has no system.
    """
    url, stated = inputs.named_system(request)
    if url is None:
        return asked
    if request.parameter("code") is None:
        raise InvalidRequest("system is that of a code; a coding says its own.", expression="system")
    return [replace(one, version=inputs.one_version("version", one.version, stated)) for one in asked]


def _given(request: FhirRequest, ctx: Context) -> dict[str, Any] | None:
    """Return the code system that the URL or a parameter gives; None where one is named by its canonical URL."""
    url, given = request.parameter("url"), request.argument("codeSystem")
    if request.id is not None:
        return inputs.stored(request, ctx, [name for name, found in (("url", url), ("codeSystem", given))
                                            if found is not None])
    if given is not None and url is not None:
        raise InvalidRequest("$validate-code takes url or codeSystem, not both.", expression="url")
    return None if given is None else dict(given)


def _refuse_other_versions(system: CodeSystem, request: FhirRequest, asked: list[Coding]) -> None:
    """Refuse a version that is not the one of the code system that is given."""
    codings = [] if request.argument("codeableConcept") is not None else [one.version for one in asked]
    version = inputs.one_version("version", request.parameter("version"), *codings)
    if version is not None:
        inputs.one_version("version", system.version or "none", version)


def _named(request: FhirRequest, asked: list[Coding]) -> tuple[str, str | None]:
    """Return URL and version of the code system that is named, the URL by a coding at least."""
    url = request.parameter("url") or request.parameter("system")
    url = url or next((one.system for one in asked if one.system is not None), None)
    if url is None:
        raise InvalidRequest("$validate-code needs url or codeSystem, or a coding with its system.", expression="url")
    url, stated = split_canonical(url)
    return url, asked[0].version if request.parameter("code") is not None else request.parameter("version") or stated


def _of_grammar(url: str, coding: Coding) -> Verdict:
    if GRAMMARS[url](coding.code):
        return Verdict(True)
    return refusal("invalid-code", f"{coding.code[:200]!r} does not follow the grammar of {url}.")


def _of_code_system(system: CodeSystem, coding: Coding, service: Terminology, request: FhirRequest) -> Verdict:
    concept = system.get(coding.code)
    if concept is None:
        if not system.is_complete and system.url in GRAMMARS:
            return _of_grammar(system.url, coding)
        if not system.is_complete:
            raise _undecided(coding, service)
        return refusal("invalid-code", f"The code {coding.code[:200]} is not in the code system {system.url}.")
    member = Member(system.url, concept.code, system.version, concept.display, tuple(concept.designations),
                    concept.is_abstract, concept.is_inactive, system.language)
    return _judged(member, coding, service, request)


def _judged(member: Member | None, coding: Coding, service: Terminology, request: FhirRequest) -> Verdict:
    """Judge what else is said of a code that is there."""
    if member is None:
        return Verdict(True)
    service.spend(len(member.designations))
    display = display_in(inputs.languages(request), member)
    if inputs.boolean(request, "abstract") is False and member.is_abstract:
        return refusal("code-rule", f"The code {coding} is abstract: it groups others and is not to be selected.",
                       display)
    if coding.display is not None and member.display is not None and not is_display(
        coding.display, member.display, member.designations
    ):
        return refusal("invalid-display", f"The code {coding} is there, but not with the display "
                       f"{coding.display[:200]!r}; it is {display or member.display!r}.", display, element="display")
    return Verdict(True, tuple(_hints(member, coding)), display, found_in=(member.system, member.version))


def _hints(member: Member, coding: Coding) -> Iterator[Remark]:
    """Say what who has a valid code should know of it."""
    if member.is_inactive:
        yield Remark("code-comment", f"The code {coding} is inactive: it is kept to understand old records, and not to "
                     "be used any more.")
    if member.is_deprecated:
        yield Remark("code-comment", f"The value set marks the code {coding} as deprecated: it is not to be used there "
                     "any more.")
    if coding.display is not None and member.display is None and not is_display(
        coding.display, None, member.designations
    ):
        yield Remark("code-comment", f"Whether the code {coding} has the display {coding.display[:200]!r} was not "
                     "judged: none is known here.", "display")
    if member.code != coding.code:
        yield Remark("code-comment", f"The code is written {member.code[:200]} in its code system.")


def _undecided(coding: Coding, service: Terminology) -> FhirError:
    known = service.known_system(coding.system or "", coding.version)
    if known is not None and known.has_content:
        return Unprocessable(f"Whether {coding} is a code of it cannot be told: {_why(known)}.", expression="code")
    if coding.system is not None:
        return service.absent(coding.system, coding.version)
    return Unprocessable(f"Whether {coding.code[:200]} is in it cannot be told: the content of a code system is not "
                         "here.", expression="system")


def _why(system: CodeSystem) -> str:
    if system.is_complete:
        return "other versions of the code system are meant than that which is here"
    if system.is_compositional:
        return "the code system has a grammar, which is not known here, for codes that it does not list"
    return f"what is here of the code system is marked {system.content}, and does not list it"


_TOLD = {"abstract": "false: an abstract code is not valid."}
_TOLD_OF_ANSWERS = {
    "result": "Whether the code is valid.",
    "message": "Why it is not, or what else is to be known of it.",
    "display": "How the code should be shown.",
}
#: https://hl7.org/fhir/R5/valueset-operation-validate-code.html
_RETURNS_OF_R5 = (
    Parameter("code", "code", documentation="Of a concept: the code that is valid."),
    Parameter("system", "uri", documentation="The code system of what is valid: of a concept, or where it was found "
              "out."),
    Parameter("version", "string", documentation="Its version."),
    Parameter("issues", "OperationOutcome", documentation="What `message` tells, for programs."),
)

VALUE_SET = Operation(
    code="validate-code",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"ValueSet"}),
    function=in_value_set,
    definition="http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
    parameters=(
        *standard_parameters(
            "validate-code@ValueSet", inputs.TOLD_OF_CODES | inputs.TOLD_OF_VALUE_SETS | _TOLD | {
                "systemVersion": "The version of the code system of `code`."}, inputs.NO_DATE),
        Parameter("inferSystem", "boolean", documentation="true: without `system` the code is of the one system that "
                  "has it in the value set. A parameter of R5."),
        *(Parameter(name, "canonical", max="*", documentation=text) for name, text in inputs.TOLD_OF_VERSIONS.items()),
        inputs.USED_SUPPLEMENTS,
    ),
    returns=(*standard_returns("validate-code@ValueSet", _TOLD_OF_ANSWERS), *_RETURNS_OF_R5),
    documentation="Whether a code is in a value set. What cannot be told is refused (422).",
)
CODE_SYSTEM = Operation(
    code="validate-code",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"CodeSystem"}),
    function=in_code_system,
    definition="http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
    parameters=(
        *standard_parameters(
            "validate-code@CodeSystem",
            {name: text for name, text in inputs.TOLD_OF_CODES.items() if name != "system"} | _TOLD | {
                "url": "The code system, where the address names none; with |version, too.",
                "codeSystem": "The code system itself.",
                "version": "The version of the code system.",
            }, inputs.NO_DATE),
        Parameter("system", "uri", documentation="The code system, as `url` says it."),
        inputs.USED_SUPPLEMENTS,
    ),
    returns=(*standard_returns("validate-code@CodeSystem", _TOLD_OF_ANSWERS), *_RETURNS_OF_R5),
    documentation="Whether a code is in a code system. What cannot be told is refused (422).",
)
