"""Syntax tree -> closures: https://hl7.org/fhirpath/N1/

Every expression becomes a Part: a function from the focus (a list) to a list, and what is known of the items' type
before anything runs. A known type means plain JSON values and properties found at compile time; see `values`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from hie.fhir.facts import NAMES_KEPT

from . import model, syntax
from .errors import FhirPathError, FhirPathSemanticError, FhirPathUnsupported
from .syntax import Expression
from .values import Amount, Element, moment, to_system, type_of
from .watch import Watch

Items = list[Any]
#: Tells whether an item conforms to a profile; None where there is no such profile, or it cannot be told.
Conforms = Callable[[Element, str], bool | None]


class Frame:
    """What an evaluation can see besides its focus."""

    now: datetime | None = None
    descendants: Items | None = None
    index: int | None = None
    total: Items = []  # noqa: RUF012 - replaced, never changed
    conforms: Conforms | None = None

    def __init__(
        self,
        context: Items,
        resource: Any,
        root_resource: Any,
        variables: dict[str, Any] | None,
        watch: Watch | None = None,
    ) -> None:
        self.context = context
        self.resource = resource
        self.root_resource = root_resource
        self.variables = variables
        self.watch = watch


Run = Callable[[Frame, Items], Items]


@dataclass(frozen=True, slots=True)
class Part:
    """A compiled expression and the type its items are known to have, None where only the items know."""

    run: Run
    type: str | None
    value: Items | None = None
    """What a literal always gives; None for everything else."""

    @property
    def is_boolean(self) -> bool:
        """Tell whether the expression gives true, false or nothing."""
        return self.type == "System.Boolean"


TRUE: Items = [True]
FALSE: Items = [False]
EMPTY: Items = []
"""Answers shared by all closures: nobody may change them."""


def boolean(value: bool | None) -> Items:
    """Give the collection of a three-valued answer."""
    return EMPTY if value is None else TRUE if value else FALSE


def constant(items: Items, type_name: str | None) -> Part:
    """Give the part that always answers the same."""
    return Part(lambda frame, focus: items, type_name, items)


def truth(items: Items) -> bool | None:
    """Read a collection where a Boolean is expected: https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections"""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"One Boolean was expected, {len(items)} items were found.")
    item = items[0]
    if item is True or item is False:
        return bool(item)
    if type(item) is Element and isinstance(item.value, bool):
        return item.value
    return True


def singleton(items: Items, part: Part, what: str) -> Any:
    """Give the one item as a value of the language, None if there is none; FhirPathError if there are more."""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one item, {len(items)} were found.")
    item = items[0]
    return item if type(item) is str and part.type in TEXTS else to_system(item, part.type)


# Elements of these types mean just what their JSON string says, so that they compare without further ado.
TEXTS = frozenset(
    {"System.String", "string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "base64Binary"}
)


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
        if name in _known_children(self.type) or not model.is_type(name):
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
        start = Part(_focus, self.type) if base is None else self.compile(base)
        if base is None and self.names_another_type(names[-1]):
            return self.of_resource_type(names.pop(), names[::-1])
        return self.steps(start, names[::-1])

    def steps(self, start: Part, names: Sequence[str]) -> Part:
        """Compile steps from a part; under strict evaluation each must name an element of the type before it."""
        if self.strict:
            type_name = start.type
            for name in names:
                form = _only_form(type_name, name)
                if form is None and _has_no_child(type_name, name):
                    raise FhirPathSemanticError(f"{type_name} has no element {name}.")
                type_name = form[1] if form else None
        return steps(start, names)

    def names_another_type(self, name: str) -> bool:
        """Tell whether a path starts with the name of a resource type that the focus is not known to be."""
        return model.is_resource(name) and name not in _known_children(self.type)

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
            return _target_test(base, wanted)
        part = self.compile(operand)
        return is_type(part, wanted) if operator == "is" else of_type(part, wanted)

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
            return _target_test(self.compile(tree.base.base or syntax.This()), type_argument(tree.arguments[0]))
        if tree.name in _ORDERED:
            self.check_order(f"{tree.name}()", tree.base)
        base = self.compile(tree.base) if tree.base is not None else Part(_focus, self.type)
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


def _focus(frame: Frame, focus: Items) -> Items:
    return focus


def resource_items(frame: Frame, focus: Items) -> Items:
    """Give %resource; a function of its own so that what is costly to compute from it can be kept."""
    return [] if frame.resource is None else [frame.resource]


def _known_children(type_name: str | None) -> dict[str, model.Child]:
    return model.children(type_name) if type_name is not None else {}


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


# ---- steps -----------------------------------------------------------------------------------------------------------


def steps(start: Part, names: Sequence[str]) -> Part:
    """Compile the steps of a path: those of known type in one loop, the rest item by item."""
    part = start
    known: list[tuple[str, str | None]] = []
    type_name = start.type
    for name in names:
        form = _only_form(type_name, name)
        if form is None:
            part = _dynamic(_static(part, known, type_name), name)
            type_name, known = part.type, []
            continue
        property_, type_name = form
        known.append((property_, "_" + property_ if model.is_primitive(type_name) else None))
    return _static(part, known, type_name)


def _has_no_child(type_name: str | None, name: str) -> bool:
    if type_name is None or type_name in ("Resource", "DomainResource", "Element", "BackboneElement"):
        return False
    return name not in model.children(type_name)


def _only_form(type_name: str | None, name: str) -> tuple[str, str] | None:
    """Give the property and type of an element that can have only one; None if that is not known before running."""
    child = _known_children(type_name).get(name)
    if child is None or len(child.forms) != 1:
        return None
    if type_name is not None and model.is_primitive(type_name):
        return None  # lies in the Element of the primitive
    return child.forms[0]


def _static(start: Part, known: list[tuple[str, str | None]], type_name: str | None) -> Part:
    if not known:
        return start
    run = start.run
    last_property, extra = known[-1]
    before = tuple(property_ for property_, _ in known[:-1])
    from_focus = run is _focus

    def walk(frame: Frame, focus: Items) -> Items:
        items = focus if from_focus else run(frame, focus)
        for property_ in before:
            found: Items = []
            for item in items:
                if type(item) is dict:
                    value = item.get(property_)
                    if type(value) is list:
                        found.extend(value)
                    elif value is not None:
                        found.append(value)
            if not found:
                return EMPTY
            items = found
        return last(items)

    def complex_(items: Items) -> Items:
        found: Items = []
        for item in items:
            if type(item) is dict:
                value = item.get(last_property)
                if type(value) is list:
                    found.extend(value)
                elif value is not None:
                    found.append(value)
        return found

    def primitive(items: Items) -> Items:
        found: Items = []
        for item in items:
            if type(item) is dict:
                value = item.get(last_property)
                if extra in item:
                    found.extend(_with_extras(value, item[extra], str(type_name)))
                elif type(value) is list:
                    found.extend(value)
                elif value is not None:
                    found.append(value)
        return found

    last = complex_ if extra is None else primitive
    if from_focus and not before:
        return Part(lambda frame, focus: last(focus), type_name)
    return Part(walk, type_name)


def _with_extras(value: Any, extra: Any, type_name: str) -> Items:
    """Join the values of a primitive element with their ids and extensions."""
    if isinstance(value, list) or isinstance(extra, list):
        values = value if isinstance(value, list) else []
        extras = extra if isinstance(extra, list) else []
        count = max(len(values), len(extras))
        pairs = [
            (values[at] if at < len(values) else None, extras[at] if at < len(extras) else None) for at in range(count)
        ]
    else:
        pairs = [(value, extra)]
    return [
        Element(one, type_name, more) if isinstance(more, dict) else one
        for one, more in pairs
        if one is not None or isinstance(more, dict)
    ]


def _dynamic(start: Part, name: str) -> Part:
    run, own = start.run, start.type
    if own is None or own in ("Resource", "DomainResource") or model.is_primitive(own):
        return _by_item(run, own, name)
    if name not in model.children(own):
        return constant(EMPTY, None)
    properties, from_focus = _properties(own, name), run is _focus

    def choice(frame: Frame, focus: Items) -> Items:
        found: Items = []
        for item in focus if from_focus else run(frame, focus):
            _gather(item.value if type(item) is Element else item, properties, found)
        return found

    return Part(choice, None)


def _by_item(run: Run, own: str | None, name: str) -> Part:
    """Compile a step from items of which each has its own type."""

    def walk(frame: Frame, focus: Items) -> Items:
        found: Items = []
        for item in run(frame, focus):
            if type(item) is Element and type(item.value) is dict:
                property_, type_name = _plain_form(item.type, name)
                value = item.value.get(property_)
                if value is not None and type(value) is not list and "_" + property_ not in item.value:
                    found.append(Element(value, type_name))
                    continue
            found.extend(child_items(item, own, name))
        return found

    return Part(walk, None)


@lru_cache(maxsize=NAMES_KEPT)
def _plain_form(type_name: str, name: str) -> tuple[str, str]:
    """Give the property and type of an element with one form; a property that none has for every other."""
    child = model.children(type_name).get(name)
    if child is None or len(child.forms) != 1 or child.forms[0][1] == "Resource":
        return "", ""
    return child.forms[0]


def child_items(item: Any, own: str | None, name: str) -> Items:
    """Give the elements of one name below an item, with their types; `own` is the item's type where it is known."""
    type_name = type_of(item, own)
    holder: Any = item.value if type(item) is Element else item
    if type(holder) is not dict:
        holder = item.extra if type(item) is Element else None
    found: Items = []
    _gather(holder, _properties(type_name, name), found)
    return found


@lru_cache(maxsize=NAMES_KEPT)
def _properties(type_name: str, name: str) -> dict[str, tuple[str, str]]:
    """Give the JSON properties one element may stand in, those of its extensions too: each with its type."""
    child = model.children(type_name).get(name)
    forms: dict[str, tuple[str, str]] = {}
    for property_, child_type in child.forms if child is not None else ():
        forms[property_] = (property_, child_type)
        if model.is_primitive(child_type):
            forms["_" + property_] = (property_, child_type)
    return forms


def _gather(holder: Any, properties: dict[str, tuple[str, str]], found: Items) -> None:
    if type(holder) is not dict:
        return
    for key in holder if len(holder) < len(properties) else properties:
        form = properties.get(key)
        if form is None or key not in holder:
            continue
        property_, type_name = form
        value, extra = holder.get(property_), holder.get("_" + property_)
        if key != property_ and value is not None:
            continue  # taken with its value
        if extra is None and type(value) is not list and type_name != "Resource":
            if value is not None:
                found.append(Element(value, type_name))
        else:
            found.extend(boxed(value, extra, type_name))


def boxed(value: Any, extra: Any, type_name: str) -> Items:
    """Give values as Elements that carry their type."""
    if model.is_primitive(type_name):
        items = _with_extras(value, extra, type_name)
        return [one if type(one) is Element else Element(one, type_name) for one in items if one is not None]
    values = value if isinstance(value, list) else [value]
    return [Element(one, type_of(one, type_name)) for one in values if one is not None]


def box(part: Part) -> Part:
    """Let the items of a part carry their type, for where parts of several types meet."""
    own, run = part.type, part.run
    if own is None or own.startswith("System."):
        return part

    def walk(frame: Frame, focus: Items) -> Items:
        return [item if type(item) is Element else Element(item, type_of(item, own)) for item in run(frame, focus)]

    return Part(walk, None)


# ---- types -----------------------------------------------------------------------------------------------------------


def type_argument(tree: Expression) -> str:
    """Read the type named as the argument of is(), as() or ofType()."""
    match tree:
        case syntax.Member(None, name):
            return name
        case syntax.Member(syntax.Member(None, namespace), name):
            return f"{namespace}.{name}"
    raise FhirPathUnsupported("A type name was expected.")


def matcher(wanted: str) -> Callable[[str], bool]:
    """Give the test whether a type is the one an expression names: of FHIR first, else of the language."""
    namespace, _, name = wanted.rpartition(".")
    if namespace not in ("", "FHIR", "System"):
        raise FhirPathUnsupported(f"The type {wanted} is not known.")
    if namespace != "System" and model.is_type(name):
        # Without a namespace, Quantity means the language's own as well.
        alias = f"System.{name}" if not namespace and name in model.SYSTEM_TYPES else name
        return lambda type_name: type_name == alias or model.is_a(type_name, name)
    if namespace != "FHIR" and name in model.SYSTEM_TYPES:
        full = f"System.{name}"
        return lambda type_name: type_name == full
    if model.is_type(name):
        return lambda type_name: False  # System.Patient: nothing is one
    raise FhirPathUnsupported(f"The type {wanted} is not known.")


def is_type(part: Part, wanted: str) -> Part:
    """Compile `is`: true or false for one item, empty for none."""
    matches, own, run = matcher(wanted), part.type, part.run

    def walk(frame: Frame, focus: Items) -> Items:
        items = run(frame, focus)
        if not items:
            return EMPTY
        if len(items) > 1:
            raise FhirPathError(f"is takes one item, {len(items)} were found.")
        return TRUE if matches(type_of(items[0], own)) else FALSE

    return Part(walk, "System.Boolean")


def of_type(part: Part, wanted: str) -> Part:
    """Compile `as` and ofType(): both keep the items of the type, as R4's own expressions apply `as` to many."""
    matches, own, run = matcher(wanted), part.type, part.run
    name = wanted.rpartition(".")[2]
    plain = name if model.is_type(name) and not wanted.startswith("System.") and _has_no_subtypes(name) else None

    def walk(frame: Frame, focus: Items) -> Items:
        found = [item for item in run(frame, focus) if matches(type_of(item, own))]
        if plain is None:
            return [item if type(item) is Element or own is None else _boxed_one(item, own) for item in found]
        return [item.value if type(item) is Element and item.extra is None else item for item in found]

    return Part(walk, plain)


def _boxed_one(item: Any, own: str) -> Any:
    return item if own.startswith("System.") else Element(item, type_of(item, own))


def _has_no_subtypes(name: str) -> bool:
    return name in model.leaf_types()


def _target_test(base: Part, wanted: str) -> Part:
    from hie.fhir.references import target_type  # references need this package's model

    name = wanted.removeprefix("FHIR.")
    if not model.is_resource(name):
        raise FhirPathUnsupported(f"resolve() gives resources, and {wanted} is none.")

    def walk(frame: Frame, focus: Items) -> Items:
        items = base.run(frame, focus)
        if not items:
            return EMPTY
        if len(items) > 1:
            raise FhirPathError(f"is takes one item, {len(items)} were found.")
        item = items[0].value if type(items[0]) is Element else items[0]
        reference = item if type(item) is dict else {"reference": item}
        target = target_type(reference) or contained_type(reference, frame.root_resource)
        return EMPTY if target is None else boolean(model.is_a(target, name))

    return Part(walk, "System.Boolean")


def contained_type(reference: dict[str, Any], root: Any) -> str | None:
    """Tell the type of the contained resource a reference points at; None if it is no such reference."""
    text = reference.get("reference")
    if not isinstance(text, str) or not text.startswith("#") or not isinstance(root, dict):
        return None
    if text == "#":
        return root.get("resourceType")
    for resource in root.get("contained") or ():
        if isinstance(resource, dict) and resource.get("id") == text[1:]:
            return resource.get("resourceType")
    return None
