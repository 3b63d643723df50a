"""Invariants of the definitions, evaluated on structures already found right: https://hl7.org/fhir/R4/conformance-rules.html

The FHIRPath of the definition decides. A shortcut (see shortcuts.py) spares it where the outcome is plain, and a few
rules about the whole resource are written here because FHIRPath cannot say them, or says them wrongly.
A rule speaks only where its expression is false: one that cannot be decided, such as 2020 <= 2020-05, passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from hie.fhir import facts, fhirpath
from hie.fhir.primitives import shown
from hie.fhir.validation import narrative, shortcuts
from hie.fhir.validation.issue import Problem, Severity, below, error
from hie.fhir.validation.linear import LINEAR, Holds
from hie.fhir.validation.scope import Scope

Rule = Callable[[dict[str, Any], Scope], "list[Problem] | None"]

ELSEWHERE = {
    "ele-1": "structure.object_check",
    "ref-1": "targets.reference_check",
    "txt-1": "narrative.problem",
    "txt-2": "narrative.problem",
}
"""Invariants checked together with the structure, and where."""


class Invariant:
    """One row of the facts: an invariant of a type, or of an element inside it."""

    __slots__ = ("expression", "key", "path", "severity", "text")

    def __init__(self, key: str, path: str, severity: str, expression: str, text: str) -> None:
        self.key = key
        self.path = path
        self.severity: Severity = "error" if severity == "e" else "warning"
        self.expression = expression
        self.text = text

    def problem(self) -> Problem:
        """Say that the invariant does not hold."""
        return "", self.severity, "invariant", f"{self.text.rstrip('.')} ({self.key})."


@cache
def of_path(path: str) -> tuple[Rule, ...]:
    """Give the rules for the object at a path; those of children whose content is defined elsewhere are asked here."""
    return tuple(_rules(path))


def invariants(type_name: str) -> Iterator[Invariant]:
    """Give every invariant that the definition of a type states."""
    for key, (path, severity, expression, text) in facts.load()["invariants"].get(type_name, {}).items():
        yield Invariant(key, path, severity, expression, text)


def _rules(path: str) -> Iterator[Rule]:
    defined_elsewhere = {one.path: one.name for one in facts.children(path) if not _is_backbone(one.types)}
    for one in invariants(path.partition(".")[0]):
        if one.key in ELSEWHERE:
            continue
        if one.path == path:
            yield WRITTEN[one.key](one) if one.key in WRITTEN else _evaluated(one)
        elif one.path in defined_elsewhere:
            yield _of_child(one, defined_elsewhere[one.path])


def _is_backbone(types: tuple[str, ...]) -> bool:
    return types[:1] in (("BackboneElement",), ("Element",))


def _evaluated(invariant: Invariant) -> Rule:
    evaluate = _evaluation(invariant)
    spared = shortcuts.shortcut(fhirpath.corrected(invariant.expression), invariant.path)

    def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
        return None if spared is not None and spared(value) else evaluate(value, scope)

    return rule


def _of_child(invariant: Invariant, name: str) -> Rule:
    """Ask a rule of each value of an element whose content is defined elsewhere, as Organization.telecom is."""
    evaluate = _evaluation(invariant)
    stem = name.removesuffix("[x]")
    names = shortcuts.json_names(invariant.path.rpartition(".")[0], stem)

    def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
        problems: list[Problem] = []
        for given in names:
            found = value.get(given)
            if isinstance(found, list):
                for index, item in enumerate(found):
                    if item is not None:
                        problems += below(f".{stem}[{index}]", evaluate(item, scope) or ())
            elif found is not None:
                problems += below(f".{stem}", evaluate(found, scope) or ())
        return problems

    return rule


def _evaluation(invariant: Invariant) -> Callable[[Any, Scope], list[Problem] | None]:
    """Compile the FHIRPath when it is first needed."""
    compiled: fhirpath.Compiled | None = None

    def evaluate(value: Any, scope: Scope) -> list[Problem] | None:
        nonlocal compiled
        if compiled is None:
            compiled = fhirpath.compile(fhirpath.corrected(invariant.expression), invariant.path)
        try:
            holds = compiled.holds(value, resource=scope.resource, root_resource=scope.root)
        except fhirpath.FhirPathError as error:
            return [("", "warning", "processing", f"{invariant.key} could not be evaluated: {error}")]
        return [invariant.problem()] if holds is False else None

    return evaluate


# ---- rules of the whole resource -------------------------------------------------------------------------------------


def _narrative_wanted(invariant: Invariant) -> Rule:
    """dom-6 is advice, and a contained resource is told by the narrative of the one around it."""
    problem = invariant.problem()

    def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
        return None if "text" in value or scope.resource is not scope.root else [problem]

    return rule


def _of_contained(wrong: Callable[[dict[str, Any]], str | None]) -> Callable[[Invariant], Rule]:
    def make(invariant: Invariant) -> Rule:
        def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
            problems: list[Problem] = []
            for index, one in enumerate(value.get("contained", ())):
                if (where := wrong(one)) is not None:
                    problems += below(f".contained[{index}]{where}", [invariant.problem()])
            return problems

        return rule

    return make


def _nested(contained: dict[str, Any]) -> str | None:
    return ".contained" if "contained" in contained else None


def _versioned(contained: dict[str, Any]) -> str | None:
    meta = contained.get("meta", {})
    return next((f".meta.{name}" for name in ("versionId", "lastUpdated") if name in meta or "_" + name in meta), None)


def _labelled(contained: dict[str, Any]) -> str | None:
    return ".meta.security" if "security" in contained.get("meta", {}) else None


def _referred_to(invariant: Invariant) -> Rule:
    """dom-3: each contained resource is pointed at, or points at the one around it; which one is meant its id says.

    https://hl7.org/fhir/R4/references.html#contained
    """

    def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
        problems: list[Problem] = []
        seen: set[Any] = set()
        shown_in_text: set[str] | None = None
        for index, one in enumerate(value.get("contained", ())):
            identifier = one.get("id")
            if identifier in seen and identifier is not None:
                text = f"Two contained resources have the id {shown(identifier)}; a reference could mean either."
                problems += error("duplicate", text, f".contained[{index}].id")
                continue
            seen.add(identifier)
            if identifier is None:
                problems += error("invariant", "A contained resource has an id (dom-3).", f".contained[{index}]")
                continue
            if "#" + identifier in scope.local:
                continue
            if shown_in_text is None:  # the expression does not look there, the rule's text does: from elsewhere
                shown_in_text = narrative.local_links(value)
            if "#" + identifier not in shown_in_text:
                text = f"Nothing refers to the contained resource {shown(identifier)}, nor it to '#' (dom-3)."
                problems += error("invariant", text, f".contained[{index}]")
        return problems

    return rule


def _value_or_extensions(invariant: Invariant) -> Rule:
    def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
        if ("extension" in value) != any(name.startswith(("value", "_value")) for name in value):
            return None
        return [invariant.problem()]

    return rule


def _linear(holds: Holds) -> Callable[[Invariant], Rule]:
    def make(invariant: Invariant) -> Rule:
        def rule(value: dict[str, Any], scope: Scope) -> list[Problem] | None:
            return None if holds(value, scope) else [invariant.problem()]

        return rule

    return make


WRITTEN: dict[str, Callable[[Invariant], Rule]] = {
    "dom-2": _of_contained(_nested),
    "dom-3": _referred_to,
    "dom-4": _of_contained(_versioned),
    "dom-5": _of_contained(_labelled),
    "dom-6": _narrative_wanted,
    "ext-1": _value_or_extensions,
    **{key: _linear(holds) for key, holds in LINEAR.items()},
}
"""Rules about the whole resource, or too frequent for the general way, and what checks them."""
