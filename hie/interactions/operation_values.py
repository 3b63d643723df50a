"""Plain parameters of operations: what a URL, a form or a Parameters resource may say for their types.

https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

import re
from typing import Any

from hie.errors import InvalidRequest
from hie.registry import Operation, Parameter

#: What somebody has typed so far: nothing, at first.
_MAY_BE_EMPTY = frozenset({"filter"})
_WHOLE = frozenset({"integer", "positiveInt", "unsignedInt"})
_DATES = frozenset({"date", "dateTime", "instant"})
#: Types of a value that is no text, by what is declared; a text says whatever a URL would.
_ALSO: dict[str, frozenset[str]] = {
    "boolean": frozenset({"boolean"}), "decimal": _WHOLE | {"decimal"}, **dict.fromkeys(_WHOLE, _WHOLE),
    **dict.fromkeys(_DATES, _DATES),
}  # fmt: skip
_NO_TEXTS = _WHOLE | _DATES | {"boolean", "decimal"}
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)


def check(name: str, text: str, parameter: Parameter, found: Operation) -> None:
    """Refuse what says nothing, and what is no value of its type, whether the operation looks at it or not."""
    if not text.strip() and name not in _MAY_BE_EMPTY:
        article = "an" if parameter.type.startswith(("i", "o", "un")) else "a"
        raise InvalidRequest(f"{name} of ${found.code} is empty; it is {article} {parameter.type}: give it a value, or "
                             "leave it out.", expression=name)
    if parameter.type == "boolean" and text not in ("true", "false"):
        raise InvalidRequest(f"{name} is {text[:80]!r}; it must be true or false.", expression=name)
    if parameter.type in _WHOLE and _NUMBER.fullmatch(text) is None:
        raise InvalidRequest(f"{name} is {text[:80]!r}; it must be a whole number.", expression=name)


def plain(row: dict[str, Any], expression: str, parameter: Parameter | None = None) -> str:
    """Return the text of a parameter's value, as a URL would say it; without `parameter` any plain type will do."""
    key = next((key for key in row if key.startswith("value")), "")
    value = row.get(key)
    given = key[5:6].lower() + key[6:]
    if value is None or isinstance(value, dict | list) or not _fits(given, parameter):
        raise InvalidRequest(_told(row["name"], key, parameter), expression=expression)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _fits(given: str, parameter: Parameter | None) -> bool:
    if parameter is None or given not in _NO_TEXTS:
        return True
    return given in _ALSO.get(parameter.type, ())


def _told(name: str, key: str, parameter: Parameter | None) -> str:
    if parameter is None:
        return f"Parameter {name} has no simple value."
    wanted = f"value{parameter.type[:1].upper()}{parameter.type[1:]}"
    return f"Parameter {name} is of type {parameter.type}; found {key or 'no value'}: write it as {wanted}."
