"""Which test proves which line of the CapabilityStatement: `python -m tests.proofs` writes docs/conformance.md.

A test says so by `@pytest.mark.proves("interaction:read", "prefix:*")`; markers are read from the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from hie.fhir.capability import capability_statement
from hie.interactions.capabilities import offered_parameters
from hie.registry import built_in
from hie.store.search.criteria import _MODIFIERS
from hie.store.search.intervals import PREFIXES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "conformance.md"
SEARCH = ROOT / "docs" / "search.md"
#: Line -> how the statement says it, for each section.
Sections = Mapping[str, Mapping[str, str]]


class Proof(NamedTuple):
    """A test, and the lines that it names, possibly with *."""

    file: str
    test: str
    names: tuple[str, ...]


# ---- what is stated --------------------------------------------------------------------------------------------------


@cache
def statement() -> dict[str, Any]:
    """Return the CapabilityStatement with everything switched on that an operator can switch on."""
    return capability_statement(
        base_url="http://localhost/fhir", version="0", at=0, operations=built_in().operations, cors=True,
        parameters_of=partial(offered_parameters, True), profiles={"Patient": ["http://example.org/profile"]},
    )  # fmt: skip


@cache
def sections() -> Sections:
    """Return every line of the statement, and what the search says beyond its codes, by section."""
    whole, rest = statement(), statement()["rest"][0]
    return {
        "The server": _server(whole, rest),
        "Interactions": {f"interaction:{code}": "`rest.resource.interaction`, all types"
                         for code in _common(rest["resource"], lambda row: [one["code"] for one in row["interaction"]])}
        | {f"system:{one['code']}": "`rest.interaction`" for one in rest["interaction"]},
        "Versions and conditions": _flags(rest["resource"]),
        "Search parameters": _search(rest),
        "Compartments": {f"compartment:{url.rpartition('/')[2]}": "`rest.compartment`" for url in rest["compartment"]},
        "Operations": _operations(rest),
    }  # fmt: skip


@cache
def lines() -> dict[str, str]:
    """Return every line with where it is stated."""
    return {name: where for section in sections().values() for name, where in section.items()}


def _server(whole: Any, rest: Any) -> dict[str, str]:
    said = [word for word in ("respond-async", "_asOf") if word in rest["documentation"]]
    return {
        f"fhirVersion:{whole['fhirVersion']}": "`fhirVersion`",
        "instantiates": "`instantiates`",
        **{f"format:{one}": "`format`" for one in whole["format"]},
        **{f"patchFormat:{one}": "`patchFormat`" for one in whole["patchFormat"]},
        **{f"security:{one['coding'][0]['code']}": "`rest.security.service`" for one in rest["security"]["service"]},
        "security:cors": "`rest.security.cors`",
        **({"security:securityContext": "`rest.security.description`"}
           if "securityContext" in rest["security"]["description"] else {}),
        **{f"documentation:{word}": "`rest.documentation`" for word in said},
    }


def _common(rows: Any, codes: Any) -> list[str]:
    """Return what is the same for all types: such lines are one family."""
    first: list[str] = codes(rows[0])
    assert all(codes(row) == first for row in rows), "types differ: state them line by line"
    return first


_FLAGS = ("versioning", "readHistory", "updateCreate", "conditionalCreate", "conditionalRead", "conditionalUpdate",
          "conditionalDelete", "referencePolicy")  # fmt: skip
_ELSEWHERE = frozenset(
    {"type", "profile", "interaction", "searchInclude", "searchRevInclude", "searchParam", "operation"}
)


def _flags(rows: Any) -> dict[str, str]:
    assert {key for row in rows for key in row} <= {*_FLAGS, *_ELSEWHERE, "supportedProfile"}, "an element has no line"
    found = {"resource:supportedProfile": "`rest.resource.supportedProfile`"}
    for flag in _FLAGS:
        values = _common(rows, lambda row: row[flag] if isinstance(row[flag], list) else [row[flag]])  # noqa: B023
        found |= {f"resource:{flag}={'true' if one is True else one}": f"`rest.resource.{flag}`" for one in values}
    return found


#: An address; and what has its own lines.
_NO_PARAMETERS = frozenset({"_search", "_include", "_revinclude"})


def _search(rest: Any) -> dict[str, str]:
    rows = [one for row in rest["resource"] for one in row["searchParam"]]
    types = sorted({one["type"] for one in rows})
    stated = {one["name"] for one in (*rows, *rest["searchParam"]) if one["name"][0] == "_" or one["type"] == "special"}
    documented = SEARCH.read_text(encoding="utf-8").partition("## What is refused")[0]
    in_code = " ".join(re.findall(r"`[^`]+`", documented))
    told = set(re.findall(r"(?<![\w$])_[a-z]+[A-Za-z]*(?:-[a-z]+)?", in_code)) - _NO_PARAMETERS
    return {
        **{f"search:{one}": "`rest.resource.searchParam.type`" for one in types},
        **{f"parameter:{one}": "`rest.resource.searchParam`" for one in sorted(stated)},
        **{f"parameter:{one}": "[search](search.md)" for one in sorted(told - stated)},
        **{f"modifier:{type_}:{one}": "[search](search.md#parameters)"
           for type_ in types if type_ != "special" for one in (*_MODIFIERS.get(type_, ()), "missing")},
        "modifier:reference:Type": "[search](search.md#parameters)",
        "chain:parameter.parameter": "[search](search.md#chains-and-_has)",
        **{f"prefix:{one}": "[search](search.md#parameters)" for one in PREFIXES},
        "include:searchInclude": "`rest.resource.searchInclude`",
        "include:searchRevInclude": "`rest.resource.searchRevInclude`",
    }  # fmt: skip


def _operations(rest: Any) -> dict[str, str]:
    types: dict[str, list[str]] = {}
    for row in rest["resource"]:
        for name in dict.fromkeys(one["name"] for one in row["operation"]):  # of several definitions
            types.setdefault(name, []).append(row["type"])
    of_types = {
        f"operation:{place}/${name}": "`rest.resource.operation`"
        for name, having in sorted(types.items())
        for place in (["any"] if len(having) == len(rest["resource"]) else having)
    }
    every = {"definition:operations": "`rest.operation.definition`, `rest.resource.operation.definition`"}
    return every | of_types | {f"operation:base/${one['name']}": "`rest.operation`" for one in rest["operation"]}


# ---- what is proved --------------------------------------------------------------------------------------------------


@cache
def proofs() -> tuple[Proof, ...]:
    """Read the markers of all tests."""
    return tuple(_marked())


def _marked() -> Iterator[Proof]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        everywhere = tuple(name for node in tree.body if isinstance(node, ast.Assign) and _is_pytestmark(node)
                           for name in _names(node.value))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                names = everywhere + tuple(name for one in node.decorator_list for name in _names(one))
                if names:
                    yield Proof(path.relative_to(ROOT).as_posix(), node.name, names)


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _names(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "proves":
            yield from (ast.literal_eval(one) for one in call.args)


def matched(name: str) -> list[str]:
    """Return the lines that a marker names."""
    return [line for line in lines() if fnmatchcase(line, name)]


@cache
def proved() -> dict[str, list[Proof]]:
    """Return the tests of each line."""
    found: dict[str, list[Proof]] = {line: [] for line in lines()}
    for proof in proofs():
        for line in dict.fromkeys(line for name in proof.names for line in matched(name)):
            found[line].append(proof)
    return found


# ---- the page --------------------------------------------------------------------------------------------------------

_HEAD = """# Conformance

Every line of the [CapabilityStatement](api/capabilities.md), and what [search](search.md) says beyond its codes, with
the tests that prove it. Written by `python -m tests.proofs`; `tests/architecture/test_proofs.py` fails where a line has
no test, a marker names no line, a test asks for an operation or modifier that is not stated, or this page is old. What
is the same for all types stands once (`operation:any/…`); `operation:base/…` is one of the whole system.

A test proves a line by a marker, `@pytest.mark.proves("interaction:read", "prefix:*")`, or by `pytestmark` for all
tests of its file. Then `python -m tests.proofs` writes this page anew.
"""


def page() -> str:
    """Return the whole page."""
    found = proved()
    tests = {(proof.file, proof.test) for of_line in found.values() for proof in of_line}
    parts = [_HEAD, f"{len(found)} lines, {len(tests)} tests that name them.\n"]
    for title, section in sections().items():
        parts.append(f"## {title}\n\n| line | stated in | tests | |\n|---|---|---|---|")
        parts += [f"| `{line}` | {where} | {len(found[line])} | {_links(found[line])} |"
                  for line, where in section.items()]
        parts.append("")
    return "\n".join(parts)


def _links(of_line: list[Proof]) -> str:
    return "<br>".join(f"[{one.test.removeprefix('test_').replace('_', ' ')}](../{one.file})" for one in of_line)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
