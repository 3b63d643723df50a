"""FHIRPath for R4, compiled once to Python closures: https://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html

compile("name.where(use = 'official').given.first()", "Patient").evaluate(patient)
"""

from __future__ import annotations

from typing import Any, Final

from hie.fhir import facts
from hie.fhir.short_texts import remembered_if_short

from . import model
from .compiler import Compiler
from .errors import FhirPathError, FhirPathSemanticError, FhirPathSyntaxError, FhirPathUnsupported
from .functions import FUNCTIONS
from .invariants import corrected
from .parser import LONGEST_KEPT, parse, read
from .parts import Conforms, Frame, Members, Part, truth
from .syntax import Expression
from .values import Amount, Element, Moment, type_of
from .watch import Allowance, Watch

__all__ = [
    "FUNCTIONS",
    "NOTHING",
    "Allowance",
    "Amount",
    "Compiled",
    "Conforms",
    "Element",
    "FhirPathError",
    "FhirPathSemanticError",
    "FhirPathSyntaxError",
    "FhirPathUnsupported",
    "Moment",
    "Watch",
    "compile",
    "compile_once",
    "compile_tree",
    "corrected",
    "typed",
]

NOTHING: Final = object()
"""As a focus: there is nothing to look at."""


class Compiled:
    """An expression ready to be evaluated, by any number of threads."""

    __slots__ = ("_evaluate", "_is_choice", "_part", "type")

    def __init__(
        self, tree: Expression, context_type: str, *, strict: bool = False, profiles: bool = False
    ) -> None:
        type_name = _type_of_context(context_type)
        self._is_choice = type_name is None
        root = context_type.partition(".")[0]
        root_type = root if model.is_resource(root) else None
        self._part: Part = Compiler(type_name, root_type=root_type, strict=strict, profiles=profiles).compile(tree)
        self._evaluate = self._part.run
        self.type = self._part.type
        """The type every item of the result has; None where only each item knows."""

    def evaluate(
        self,
        focus: Any,
        *,
        resource: dict[str, Any] | None = None,
        root_resource: dict[str, Any] | None = None,
        variables: dict[str, Any] | None = None,
        watch: Watch | None = None,
    ) -> list[Any]:
        """Evaluate on an element; FhirPathError if the expression has no result on this input.

        The items are plain JSON values, and Moment or Amount where the expression made them; a primitive that has
        extensions alone has no value to give. `resource` is the resource around the element (the element itself if
        it is one), `root_resource` the one that contains that.
        """
        found = self._run(focus, resource, root_resource, variables, watch)
        if len(found) == 1 and type(found[0]) is not Element:
            return [found[0]]
        values = [item.value if type(item) is Element else item for item in found]
        return values if None not in values else [value for value in values if value is not None]

    def items(
        self,
        focus: Any,
        *,
        resource: dict[str, Any] | None = None,
        root_resource: dict[str, Any] | None = None,
        variables: dict[str, Any] | None = None,
        watch: Watch | None = None,
        conforms: Conforms | None = None,
    ) -> list[Element]:
        """Evaluate on an element and give every item with its type, primitives without a value included.

        NOTHING as the focus is the empty collection. `watch` bounds the evaluation, and is told what trace() is given.
        """
        found = self._run(focus, resource, root_resource, variables, watch, conforms)
        return typed(found, self._part.type)

    def holds(
        self,
        focus: Any,
        *,
        resource: dict[str, Any] | None = None,
        root_resource: dict[str, Any] | None = None,
        variables: dict[str, Any] | None = None,
        watch: Watch | None = None,
        conforms: Conforms | None = None,
        members: Members | None = None,
    ) -> bool | None:
        """Evaluate a condition; None if it cannot be decided, such as a comparison of dates too imprecise."""
        return truth(self._run(focus, resource, root_resource, variables, watch, conforms, members))

    def _run(
        self,
        focus: Any,
        resource: Any,
        root_resource: Any,
        variables: dict[str, Any] | None,
        watch: Watch | None = None,
        conforms: Conforms | None = None,
        members: Members | None = None,
    ) -> list[Any]:
        if resource is None and type(focus) is dict and "resourceType" in focus:
            resource = focus
        items = [] if focus is NOTHING else [Element(focus, _type_of_value(focus))] if self._is_choice else [focus]
        root = resource if root_resource is None else root_resource
        frame = Frame(items, resource, root, variables, watch)
        if conforms is not None:
            frame.conforms = conforms
        frame.members = members
        try:
            return self._evaluate(frame, items)
        except RecursionError:
            raise FhirPathError("The input is nested too deeply.") from None


@remembered_if_short(16_384, LONGEST_KEPT)
def compile(expression: str, context_type: str, *, strict: bool = False, profiles: bool = False) -> Compiled:
    """Compile an expression for focuses of one type, named by its code or by the path of an element.

    With `profiles` it may ask conformsTo() of any profile, which the evaluation is given `conforms` for.

    FhirPathSyntaxError if it is no FHIRPath; FhirPathUnsupported if it needs what is not offered here. With `strict`
    names that the type has not, and what can only be a mistake of types, are refused (FhirPathSemanticError).
    """
    return Compiled(parse(expression), context_type, strict=strict, profiles=profiles)


def compile_once(expression: str, context_type: str, *, strict: bool = False, profiles: bool = False) -> Compiled:
    """Compile an expression that a client made up: it is not kept, so that it displaces none that is needed again."""
    return Compiled(read(expression), context_type, strict=strict, profiles=profiles)


def typed(items: list[Any], own: str | None) -> list[Element]:
    """Give items with their types; `own` is the type that all have, where it is known."""
    return [one if type(one) is Element else Element(one, type_of(one, own)) for one in items]


def compile_tree(tree: Expression, context_type: str, *, strict: bool = False) -> Compiled:
    """Compile an expression that has been parsed already."""
    return Compiled(tree, context_type, strict=strict)


def _type_of_context(path: str) -> str | None:
    """Name the type at a path such as Organization.address; None for a choice, whose type each value decides."""
    if "." not in path or path.startswith("System.") or model.children(path):
        return path
    owner, _, name = path.rpartition(".")
    child = model.children(_type_of_context(owner) or owner).get(name.removesuffix("[x]"))
    if child is None:
        raise FhirPathUnsupported(f"R4 has no element {path}.")
    return child.forms[0][1] if len(child.forms) == 1 else None


def _type_of_value(value: Any) -> str:
    """Guess the type of a value of a choice from its JSON form, close enough for what invariants ask of one."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, str):
        return "string"
    if not isinstance(value, dict):
        return "decimal"
    names = value.keys()
    fitting = [name for name in sorted(facts.DATA_TYPES) if names <= model.children(name).keys()]
    return fitting[0] if fitting else "Element"
