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


def wrong(question: Json, value: Value, in_value_set: InValueSet) -> Iterator[Wrong]:
    """Give what is wrong with the value of an answer."""
    kinds = _kinds(question)
    if kinds and value.kind not in kinds:
        names = " or ".join(f"value{one}" for one in sorted(kinds))
        yield "structure", f"The answer is a value{value.kind}; a question of type {question['type']} takes {names}."
        return
    yield from _of_a_list(question, value, in_value_set)
    yield from _within_bounds(question, value)
    if isinstance(value.value, str):
        yield from _of_length(question, value.value)
    if value.kind in ("Decimal", "Quantity"):
        yield from _of_precision(question, value)
    if value.kind == "Attachment":
        yield from _of_attachment(question, value.value)
    if value.kind == "Reference":
        yield from _of_target(question, value.value)
    if value.kind == "Quantity":
        yield from _of_unit(question, value.value)


def _kinds(question: Json) -> set[str]:
    """Name the types that an answer may have; none where any may be."""
    name = question.get("type")
    if name not in _CHOICES:
        return {_KINDS[name]} if name in _KINDS else set()
    options = {option.kind for one in question.get("answerOption", ()) if (option := read(one, "value")) is not None}
    return (options or {"Coding"}) | ({"String"} if name == "open-choice" else set())


def _of_a_list(question: Json, value: Value, in_value_set: InValueSet) -> Iterator[Wrong]:
    is_free = question.get("type") == "open-choice" and value.kind == "String"
    options = [option for one in question.get("answerOption", ()) if (option := read(one, "value")) is not None]
    if options and not is_free and all(same(value, one) is False for one in options):
        yield "code-invalid", f"{told(value)} is none of the {len(options)} options of the question."
    url = question.get("answerValueSet")
    if url is None or value.kind != "Coding" or "code" not in value.value or url.startswith("#"):
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
    for most in extensions(question, "maxSize"):  # in MB: https://hl7.org/fhir/R4/extension-maxsize.html
        size = _size(value)
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


def _of_unit(question: Json, value: Json) -> Iterator[Wrong]:
    units = [one for one in extensions(question, "questionnaire-unitOption") if one.kind == "Coding"]
    if units and "code" in value and all(same(Value("Coding", value), one) is False for one in units):
        names = ", ".join(str(one.value.get("code")) for one in units)
        yield "value", f"The unit is {shown(value['code'])}; the question takes {names[:300]}."


def is_exclusive(question: Json, value: Value) -> bool:
    """Tell whether an option is chosen that allows no other beside it."""
    options = ((one, read(one, "value")) for one in question.get("answerOption", ()))
    return any(option is not None and same(value, option) is True and is_marked(one, "questionnaire-optionExclusive")
               for one, option in options)


def told(value: Value) -> str:
    """Write a value for a message."""
    if value.kind == "Coding":
        return shown(f"{value.value.get('system', '')}|{value.value.get('code', value.value.get('display', ''))}")
    if value.kind == "Quantity":
        return shown(f"{value.value.get('value')} {value.value.get('code') or value.value.get('unit') or ''}")
    return shown(value.value.get("reference") if isinstance(value.value, dict) else str(value.value))
