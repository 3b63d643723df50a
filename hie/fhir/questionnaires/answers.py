"""One answer beside the question it is to: https://hl7.org/fhir/R4/valueset-item-type.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from hie.fhir import references
from hie.fhir.fhirpath import Element
from hie.fhir.primitives import shown
from hie.fhir.profiles import limits
from hie.fhir.profiles.place import Place, around

from .regular import Expressions
from .values import Value, extensions, is_marked, read, same

Json = dict[str, Any]
#: What is wrong with an answer: issue code and text.
Wrong = tuple[str, str]
InValueSet = Callable[[str, "str | None", str], "bool | None"]

_KINDS = {
    "boolean": "Boolean", "decimal": "Decimal", "integer": "Integer", "date": "Date", "dateTime": "DateTime",
    "time": "Time", "string": "String", "text": "String", "url": "Uri", "attachment": "Attachment",
    "reference": "Reference", "quantity": "Quantity",
}  # fmt: skip
_CHOICES = frozenset({"choice", "open-choice"})
WITHOUT_ANSWERS = frozenset({"group", "display", "question"})


class Options:
    """What a question takes for an answer, read once of it."""

    def __init__(self, question: Json) -> None:
        rows = [(one, option) for one in question.get("answerOption", ())
                if (option := read(one, "value")) is not None]
        self.values = [option for _, option in rows]
        self.exclusive = [option for one, option in rows if is_marked(one, "questionnaire-optionExclusive")]
        self._exact = {key for option in self.values if (key := _key(option)) is not None}
        name = question.get("type")
        if name in _CHOICES:
            kinds = {option.kind for option in self.values} or {"Coding"}
            self.kinds = kinds | ({"String"} if name == "open-choice" else set())
        else:
            self.kinds = {_KINDS[name]} if name in _KINDS else set()
        #: Each answer is compared with all of the extensions that bound it, and with each exclusive option.
        self.bounds = len(question.get("extension", ())) + len(self.exclusive)

    def cost(self, value: Value) -> int:
        """Tell how much an answer is compared with."""
        return 1 + self.bounds + (0 if _key(value) in self._exact else len(self.values))

    def lack(self, value: Value) -> bool:
        """Tell whether there are options, and a value is certainly none of them."""
        return bool(self.values) and _key(value) not in self._exact and all(
            same(value, one) is False for one in self.values)

    def is_exclusive(self, value: Value) -> bool:
        """Tell whether an option is chosen that allows no other beside it."""
        return any(same(value, one) is True for one in self.exclusive)


def _key(value: Value) -> tuple[Any, ...] | None:
    """Write down a value that is the same as another where both are written alike; None for any other."""
    if isinstance(value.value, str):
        return value
    if value.kind == "Coding" and "code" in value.value:
        return value.kind, value.value.get("system"), value.value["code"]
    return None


def wrong(
    question: Json, options: Options, value: Value, in_value_set: InValueSet, expressions: Expressions
) -> Iterator[Wrong]:
    """Give what is wrong with the value of an answer."""
    if options.kinds and value.kind not in options.kinds:
        names = " or ".join(f"value{one}" for one in sorted(options.kinds))
        yield "structure", f"The answer is a value{value.kind}; a question of type {question['type']} takes {names}."
        return
    yield from _of_a_list(question, options, value, in_value_set)
    yield from _within_bounds(question, value)
    if isinstance(value.value, str):
        yield from _of_length(question, value.value)
        yield from _of_form(question, value.value, expressions)
    if value.kind in ("Decimal", "Quantity"):
        yield from _of_precision(question, value)
    if value.kind == "Attachment":
        yield from _of_attachment(question, value.value)
    if value.kind == "Reference":
        yield from _of_target(question, value.value)
    if value.kind == "Quantity":
        yield from _of_unit(question, value.value, in_value_set)


def _of_a_list(question: Json, options: Options, value: Value, in_value_set: InValueSet) -> Iterator[Wrong]:
    is_free = question.get("type") == "open-choice" and value.kind == "String"
    if not is_free and options.lack(value):
        yield "code-invalid", f"{told(value)} is none of the {len(options.values)} options of the question."
    url = question.get("answerValueSet")
    if url is None or value.kind != "Coding" or "code" not in value.value:
        return
    if in_value_set(url, value.value.get("system"), value.value["code"]) is False:
        yield "code-invalid", f"{told(value)} is not in {url[:300]}, of which the question takes codes."


def _within_bounds(question: Json, value: Value) -> Iterator[Wrong]:
    for name in ("minValue", "maxValue"):
        for limit in extensions(question, name):
            kind = value.kind[:1].lower() + value.kind[1:]
            place = Place(Element(value.value, kind), "", around({}))
            for text in limits.broken({f"{name}{limit.kind}": limit.value}, place):
                yield "value", f"{told(value)} is found; {text} is allowed."


def _of_length(question: Json, text: str) -> Iterator[Wrong]:
    longest = question.get("maxLength")
    if isinstance(longest, int) and len(text) > longest:
        yield "too-long", f"{len(text)} characters are found; at most {longest} are allowed."
    for least in extensions(question, "minLength"):
        if isinstance(least.value, int) and len(text) < least.value:
            yield "value", f"{len(text)} characters are found; at least {least.value} are wanted."


def _of_form(question: Json, text: str, expressions: Expressions) -> Iterator[Wrong]:
    for one in extensions(question, "regex"):
        if isinstance(one.value, str) and expressions.fits(one.value, text) is False:
            yield "value", f"{shown(text)} is not of the form {one.value[:300]}."


def _of_precision(question: Json, value: Value) -> Iterator[Wrong]:
    number = value.value if value.kind == "Decimal" else value.value.get("value")
    for most in extensions(question, "maxDecimalPlaces"):
        if isinstance(number, Decimal) and isinstance(most.value, int):
            exponent = number.as_tuple().exponent
            if isinstance(exponent, int) and -exponent > most.value:
                yield "value", f"{number} has {-exponent} decimal places; at most {most.value} are allowed."


def _of_attachment(question: Json, value: Json) -> Iterator[Wrong]:
    types = [one.value for one in extensions(question, "mimeType")]
    if types and value.get("contentType") not in (None, *types):
        yield "value", f"The content is {shown(value['contentType'])}; allowed are {', '.join(map(str, types))[:300]}."
    most_bytes = extensions(question, "maxSize")  # in MB: https://hl7.org/fhir/R4/extension-maxsize.html
    size = _size(value) if most_bytes else None
    for most in most_bytes:
        if size is not None and isinstance(most.value, int | Decimal) and size > most.value * 1024 * 1024:
            yield "too-long", f"The content has {size} bytes; at most {most.value} MB are allowed."


def _size(value: Json) -> int | None:
    if isinstance(data := value.get("data"), str):
        text = "".join(data.split())
        return len(text) // 4 * 3 - text[-2:].count("=")
    size = value.get("size")
    return size if isinstance(size, int) else None


def _of_target(question: Json, value: Json) -> Iterator[Wrong]:
    types = [str(one.value) for one in extensions(question, "questionnaire-referenceResource")]
    pointed = references.target_type(value)
    if types and pointed is not None and pointed not in types:
        yield "value", f"It points at {pointed}; the question takes {', '.join(types)[:300]}."


def _of_unit(question: Json, value: Json, in_value_set: InValueSet) -> Iterator[Wrong]:
    """A unit is one of the options, or of a value set: https://hl7.org/fhir/R4/extension-questionnaire-unitvalueset.html"""
    if not isinstance(code := value.get("code"), str):
        return
    units = [one for one in extensions(question, "questionnaire-unitOption") if one.kind == "Coding"]
    sets = [one.value for one in extensions(question, "questionnaire-unitValueSet") if one.kind == "Canonical"]
    answers = (same(Value("Coding", value), one) for one in units)
    within = (in_value_set(url, value.get("system"), code) for url in sets)
    found = [*answers, *within]
    if found and all(one is False for one in found):
        names = ", ".join([*(str(one.value.get("code")) for one in units), *sets])
        yield "value", f"The unit is {shown(code)}; the question takes {names[:300]}."


def told(value: Value) -> str:
    """Write a value for a message."""
    if value.kind == "Coding":
        return shown(f"{value.value.get('system', '')}|{value.value.get('code', value.value.get('display', ''))}")
    if value.kind == "Quantity":
        return shown(f"{value.value.get('value')} {value.value.get('code') or value.value.get('unit') or ''}")
    return shown(value.value.get("reference") if isinstance(value.value, dict) else str(value.value))
