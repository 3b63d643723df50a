"""What US Core's server statement searches by, over its own examples: each search finds what a plain filter finds.

https://hl7.org/fhir/us/core/CapabilityStatement-us-core-server.html
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from hie.fhir.datatypes import period_bounds
from hie.fhir.fhirpath import compile as compile_expression
from hie.fhir.instantiation import COMBINATION
from tests.builders import bundle, entry

Json = dict[str, Any]
#: Parameters that R4 has not; each is stored before they are asked.
OWN = frozenset({"asserted-date", "description", "discharge-disposition", "role"})
FORM = {"Content_Type": "application/x-www-form-urlencoded"}


class Guide:
    """A published version of US Core: what its servers have to search by, and the examples."""

    def __init__(self, content: bytes) -> None:
        self.parameters: dict[tuple[str, str], Json] = {}
        self.examples: list[Json] = []
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive.getmembers():
                folder, _, name = member.name.removeprefix("package/").rpartition("/")
                if not name.endswith(".json") or folder not in ("", "example"):
                    continue
                resource = json.loads(archive.extractfile(member).read())  # type: ignore[union-attr]
                if folder == "example" and resource.get("resourceType") not in (None, "Library"):
                    self.examples.append(resource)
                elif resource.get("resourceType") == "SearchParameter":
                    self.parameters.update({(base, resource["code"]): resource for base in resource["base"]})
                elif name == "CapabilityStatement-us-core-server.json":
                    self.rows = resource["rest"][0]["resource"]

    def searches(self) -> Iterator[tuple[str, list[Json]]]:
        """Yield each parameter and combination of parameters with the type that is searched."""
        for row in self.rows:
            type_name = row["type"]
            alone = [[one["name"]] for one in row.get("searchParam", [])]
            together = [[part["valueString"] for part in one["extension"] if part["url"] == "required"]
                        for one in row.get("extension", []) if one["url"] == COMBINATION]
            for names in alone + together:
                yield type_name, [self.parameters.get((type_name, name)) or self.parameters["Resource", name]
                                  for name in names]  # fmt: skip


# ---- a plain filter --------------------------------------------------------------------------------------------------


def found_by(parameter: Json, resource: Json) -> list[Any]:
    expression = parameter["expression"].replace(".valueDateTime", ".value")
    found = compile_expression(expression, resource["resourceType"]).evaluate(resource)
    return [getattr(one, "value", one) for one in found]


def matches(parameter: Json, text: str, resource: Json) -> bool:
    kind: Callable[[str, Any], bool] = {"token": token, "date": date, "string": string, "reference": reference}[
        parameter["type"]]
    return any(kind(text, value) for value in found_by(parameter, resource))


def token(text: str, value: Any) -> bool:
    system, bar, code = text.rpartition("|")
    return any(code == own and (not bar or system == (of or "")) for of, own in codes(value))


def codes(value: Any) -> list[tuple[str | None, str]]:
    if isinstance(value, str):
        return [(None, value)]
    rows = value.get("coding", [value])
    return [(one.get("system"), one.get("code", one.get("value"))) for one in rows if "code" in one or "value" in one]


def date(text: str, value: Any) -> bool:
    """The words of https://hl7.org/fhir/R4/search.html#prefix, of intervals in microseconds."""
    prefix, text = (text[:2], text[2:]) if text[:1].isalpha() else ("eq", text)
    low, high = period_bounds({"start": text, "end": text})
    start, end = period_bounds(value if isinstance(value, dict) else {"start": value, "end": value})
    inside = low <= start and end <= high
    return {"eq": inside, "gt": end > high, "lt": start < low, "ge": end > high or inside,
            "le": start < low or inside}[prefix]  # fmt: skip


def string(text: str, value: Any) -> bool:
    parts = [value] if isinstance(value, str) else [part for one in value.values()
                                                    for part in (one if isinstance(one, list) else [one])]
    return any(isinstance(one, str) and one.lower().startswith(text.lower()) for one in parts)


def reference(text: str, value: Any) -> bool:
    return text == (value if isinstance(value, str) else value["reference"])


def asked(parameter: Json, resource: Json) -> list[str]:
    """Give what one may ask to find the resource: as the resource says it, and in the ways that US Core wants."""
    value = next(iter(found_by(parameter, resource)), None)
    match parameter["type"]:
        case "token":
            return [one for system, code in codes(value or {})[:1]
                    for one in (code, f"{system}|{code}" if system else code)]
        case "date" if isinstance(value, dict):
            return [f"{prefix}{value['start'][:10]}" for prefix in ("ge", "gt", "lt", "le") if "start" in value]
        case "date":
            return [f"{prefix}{str(value)[:10]}" for prefix in ("", "ge", "gt", "lt", "le")] if value else []
        case "string":
            return [value] if isinstance(value, str) else [one for name in ("family", "city", "text")
                                                           if (one := (value or {}).get(name))]
        case _:
            return [value] if isinstance(value, str) else [one for one in [(value or {}).get("reference")] if one]


# ---- the tests -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(fhir, work, shared_data) -> Callable[[str], Guide]:
    """Store a version's examples, and the search parameters that R4 has not."""

    def stored(version: str) -> Guide:
        guide = Guide((shared_data / "definitions" / f"hl7.fhir.us.core-{version}.tgz").read_bytes())
        own = [one for (_, code), one in guide.parameters.items() if code in OWN]  # the first guides have none
        examples = [one for one in guide.examples if one["id"] != "cardiology-report"]  # whose hash is no base64
        for rows in (own, examples) if own else (examples,):
            entries = [entry("PUT", f"{one['resourceType']}/{one['id']}", one) for one in rows]
            answer = fhir.post("", bundle(*entries))
            told = [row["response"]["status"][:3] for row in answer.entries()]
            assert (answer.status, told) == (200, ["201"] * len(entries)), answer.content
        work()
        return guide

    return stored


def ids(answer: Any) -> list[str]:
    assert answer.status == 200, answer.content
    return [row["resource"]["id"] for row in answer.entries() if row["search"]["mode"] == "match"]


@pytest.fixture
def settings(settings):
    """The examples refer to what is none of them."""
    return replace(settings, referential_integrity="none")


@pytest.mark.parametrize("version", ["3.1.1", "6.1.0", "8.0.0"])
def test_what_us_core_searches_by_finds_what_a_plain_filter_finds(fhir, stored, version):
    guide, tried = stored(version), 0
    held: dict[str, list[Json]] = {}
    for type_name, parameters in guide.searches():
        if type_name not in held:
            held[type_name] = fhir.get(f"{type_name}?_count=1000").resources()
        names = [one["code"] for one in parameters]
        for resource in held[type_name][:: 1 + len(held[type_name]) // 2]:
            ways = [asked(one, resource) for one in parameters]
            for number in range(max(map(len, ways)) if all(ways) else 0):
                texts = [one[min(number, len(one) - 1)] for one in ways]
                wanted = {one["id"] for one in held[type_name]
                          if all(matches(each, text, one) for each, text in zip(parameters, texts, strict=True))}
                search = urlencode([(name, text.replace(",", "\\,")) for name, text in zip(names, texts, strict=True)])
                answer = fhir.get(f"{type_name}?{search}&_count=1000&_revinclude=Provenance:target")
                found = ids(answer)
                assert (set(found), len(found)) == (wanted, len(wanted)), search
                tried += 1
                if number == 0:
                    posted = fhir.post(f"{type_name}/_search", f"{search}&_count=1000", **FORM)
                    assert ids(posted) == found
    assert tried > 250
