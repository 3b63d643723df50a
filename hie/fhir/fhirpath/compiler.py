"""Syntax tree -> closures: https://hl7.org/fhirpath/N1/

Every expression becomes a Part: a function from the focus (a list) to a list, and what is known of the items' type
before anything runs. A known type means plain JSON values and properties found at compile time; see `values`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from . import model, syntax
from .errors import FhirPathError, FhirPathSemanticError, FhirPathUnsupported
from .parts import EMPTY, Frame, Items, Part, constant, focus_itself, singleton
from .steps import has_no_child, known_children, only_form, steps
from .syntax import Expression
from .type_tests import as_type, is_type, target_test, type_argument
from .values import Amount, moment, type_of


class Compiler:
    """Compiles the tree of one expression; `type_name` is the type of its focus, None if only the items know."""

    def __init__(
        self,
        type_name: str | None,
        context_type: str | None = None,
        root_type: str | None = None,
        *,
        strict: bool = False,
        profiles: bool = False,
    ) -> None:
        self.type = type_name
        self.context_type = context_type if context_type is not None else type_name
        self.root_type = root_type
        self.strict = strict
        self.profiles = profiles
        """Whether the evaluation will know profiles, which conformsTo() may name then."""

    def below(self, type_name: str | None) -> Compiler:
        """Give the compiler for an argument whose focus has another type, as in where()."""
        return Compiler(type_name, self.context_type, self.root_type, strict=self.strict, profiles=self.profiles)

    def compile(self, tree: Expression) -> Part:
        """Compile any expression."""
        match tree:
            case syntax.Literal(value, kind):
                return _literal(value, kind)
            case syntax.QuantityLiteral(number, unit):
                return constant([Amount(Decimal(number), unit)], "System.Quantity")
            case syntax.Empty():
                return constant(EMPTY, None)
            case syntax.This():
                return Part(lambda frame, focus: focus, self.type)
            case syntax.Index():
                return Part(lambda frame, focus: [] if frame.index is None else [frame.index], "System.Integer")
            case syntax.Total():
                return Part(lambda frame, focus: frame.total, None)
            case syntax.Constant(name):
                return self.environment(name)
            case syntax.Member(None, name) if self.is_own_type(name):
                return Part(lambda frame, focus: focus, self.type)
            case syntax.Member():
                return self.path(tree)
            case syntax.Indexer(base, index):
                self.check_order("[]", base)
                return _indexed(self.compile(base), self.compile(index))
            case syntax.Sign(operator, operand):
                return _signed(operator, self.compile(operand))
            case syntax.TypeTest(operator, operand, wanted):
                return self.type_test(operator, operand, wanted)
            case syntax.Operation(operator, left, right):
                from .operators import operation

                return operation(operator, self.compile(left), self.compile(right))
            case syntax.Call():
                return self.call(tree)
        raise FhirPathUnsupported(f"{tree!r} is not supported.")

    # ---- paths

    def is_own_type(self, name: str) -> bool:
        """Tell whether a name at the start of a path names the focus's own type: `Patient.name`."""
        if name in known_children(self.type) or not model.is_type(name):
            return False
        if self.type is None or self.type == "Resource":
            return False
        return model.is_a(self.type, name)

    def path(self, tree: Expression) -> Part:
        """Compile `a.b.c`, its plain steps together in one closure."""
        names: list[str] = []
        base: Expression | None = tree
        while isinstance(base, syntax.Member) and not (base.base is None and self.is_own_type(base.name)):
            names.append(base.name)
            base = base.base
        start = Part(focus_itself, self.type) if base is None else self.compile(base)
        if base is None and self.names_another_type(names[-1]):
            return self.of_resource_type(names.pop(), names[::-1])
        return self.steps(start, names[::-1])

    def steps(self, start: Part, names: Sequence[str]) -> Part:
        """Compile steps from a part; under strict evaluation each must name an element of the type before it."""
        if self.strict:
            type_name = start.type
            for name in names:
                form = only_form(type_name, name)
                if form is None and has_no_child(type_name, name):
                    raise FhirPathSemanticError(f"{type_name} has no element {name}{_meant(type_name, name)}.")
                type_name = form[1] if form else None
        return steps(start, names)

    def names_another_type(self, name: str) -> bool:
        """Tell whether a path starts with the name of a resource type that the focus is not known to be."""
        return model.is_resource(name) and name not in known_children(self.type)

    def of_resource_type(self, name: str, names: Sequence[str]) -> Part:
        """Compile `Patient.name` where the focus may be any resource: nothing for other types."""
        if self.type not in (None, "Resource", "DomainResource"):
            if self.strict:
                raise FhirPathSemanticError(f"A path of {name} was asked of a {self.type}.")
            return constant(EMPTY, None)
        own = self.type

        def run(frame: Frame, focus: Items) -> Items:
            return [item for item in focus if model.is_a(type_of(item, own), name)]

        return self.steps(Part(run, own), names)

    # ---- variables

    def environment(self, name: str) -> Part:
        """Compile `%name`: https://hl7.org/fhir/R4/fhirpath.html#variables"""
        if name in _URLS:
            return constant([_URLS[name]], "System.String")
        for prefix, url in (
            ("vs-", "http://hl7.org/fhir/ValueSet/"),
            ("ext-", "http://hl7.org/fhir/StructureDefinition/"),
        ):
            if name.startswith(prefix):
                return constant([url + name.removeprefix(prefix)], "System.String")
        if name == "context":
            return Part(lambda frame, focus: frame.context, self.context_type)
        if name == "resource":
            return Part(resource_items, self.root_type or "Resource")
        if name == "rootResource":
            return Part(lambda frame, focus: [] if frame.root_resource is None else [frame.root_resource], "Resource")

        def run(frame: Frame, focus: Items) -> Items:
            if frame.variables is None or name not in frame.variables:
                raise FhirPathError(f"The variable %{name} is not defined.")
            value = frame.variables[name]
            return value if isinstance(value, list) else [value]

        return Part(run, None)

    # ---- types

    def type_test(self, operator: str, operand: Expression, wanted: str) -> Part:
        """Compile `is` and `as`; `resolve() is T` is answered from the reference, without fetching anything."""
        if operator == "is" and isinstance(operand, syntax.Call) and operand.name == "resolve":
            base = self.compile(operand.base or syntax.This())
            return target_test(base, wanted)
        part = self.compile(operand)
        return is_type(part, wanted) if operator == "is" else as_type(part, wanted)

    # ---- functions

    def call(self, tree: syntax.Call) -> Part:
        """Compile a function call."""
        from .functions import FUNCTIONS

        function = FUNCTIONS.get(tree.name)
        if function is None:
            raise FhirPathUnsupported(f"The function {tree.name}() is not supported.")
        least, most = function.arguments
        if not least <= len(tree.arguments) <= most:
            raise FhirPathUnsupported(f"{tree.name}() does not take {len(tree.arguments)} arguments.")
        if tree.name == "is" and isinstance(tree.base, syntax.Call) and tree.base.name == "resolve":
            return target_test(self.compile(tree.base.base or syntax.This()), type_argument(tree.arguments[0]))
        if tree.name in _ORDERED:
            self.check_order(f"{tree.name}()", tree.base)
        base = self.compile(tree.base) if tree.base is not None else Part(focus_itself, self.type)
        return function.compile(self, base, tree.arguments)

    def check_order(self, what: str, base: Expression | None) -> None:
        """Refuse, under strict evaluation, what depends on an order that the items before it have not."""
        if self.strict and isinstance(base, syntax.Call) and base.name in ("children", "descendants"):
            raise FhirPathSemanticError(f"{what} needs an order, and {base.name}() has none.")


_ORDERED = frozenset({"first", "last", "tail", "skip", "take"})
_URLS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}


def resource_items(frame: Frame, focus: Items) -> Items:
    """Give %resource; a function of its own so that what is costly to compute from it can be kept."""
    return [] if frame.resource is None else [frame.resource]


def _meant(type_name: str | None, name: str) -> str:
    """Tell how FHIRPath calls a choice that is named with its type."""
    choice = model.choice_with_type(type_name, name) if type_name is not None else None
    return f"; it is {choice[0]}.ofType({choice[1]})" if choice else ""


def _literal(value: Any, kind: str) -> Part:
    if kind in ("Date", "DateTime", "Time"):
        read = moment(value, kind)
        if read is None:
            raise FhirPathUnsupported(f"@{value} is not in the calendar.")
        return constant([read], f"System.{kind}")
    return constant([value], f"System.{kind}")


def _indexed(base: Part, index: Part) -> Part:
    def run(frame: Frame, focus: Items) -> Items:
        at = singleton(index.run(frame, focus), index, "[]")
        if at is None:
            return EMPTY
        if not isinstance(at, int):
            raise FhirPathError(f"[] takes an integer, not {at!r:.40}.")
        return base.run(frame, focus)[at : at + 1] if at >= 0 else EMPTY

    return Part(run, base.type)


def _signed(operator: str, operand: Part) -> Part:
    def run(frame: Frame, focus: Items) -> Items:
        value = singleton(operand.run(frame, focus), operand, f"Unary {operator}")
        if value is None:
            return EMPTY
        if isinstance(value, Amount):
            return [Amount(-value.value if operator == "-" else value.value, value.unit)]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise FhirPathError(f"Unary {operator} takes a number.")
        return [-value if operator == "-" else value]

    return Part(run, operand.type)
