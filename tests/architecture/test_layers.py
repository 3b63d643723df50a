"""Imports point downwards only: read from the sources by ast, so that no import has to happen to be judged."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hie", "fhir_adapters", "ml")

#: module prefix -> prefixes of our own modules it may import when it is loaded; the longest prefix decides
ARROWS: dict[str, tuple[str, ...]] = {
    "wsgi": ("hie.app", "hie.settings"),
    "hie.cli": (),
    "hie.commands": ("hie", "fhir_adapters", "ml"),
    "hie.app": (
        "hie.context", "hie.fhir", "hie.interactions", "hie.registry", "hie.security", "hie.settings", "hie.store",
    ),
    "hie.web": (
        "hie.app", "hie.context", "hie.errors", "hie.fhir", "hie.interactions", "hie.registry", "hie.security",
        "hie.settings", "hie.store", "hie.web",
    ),
    "hie.interactions": ("hie.context", "hie.errors", "hie.fhir", "hie.interactions", "hie.registry", "hie.store"),
    "hie.operations": (
        "hie.context", "hie.errors", "hie.fhir", "hie.interactions", "hie.models", "hie.operations", "hie.registry",
        "hie.settings", "hie.store", "fhir_adapters", "ml",
    ),
    "hie.jobs": (
        "hie.app", "hie.context", "hie.errors", "hie.fhir", "hie.interactions", "hie.jobs", "hie.models",
        "hie.operations", "hie.registry", "hie.settings", "hie.store", "fhir_adapters", "ml",
    ),
    "hie.models": ("hie.errors", "hie.registry", "hie.settings"),
    "hie.registry": ("hie.errors", "hie.fhir"),
    "hie.context": (),
    "hie.security": ("hie.errors", "hie.fhir", "hie.security", "hie.store"),
    "hie.store": ("hie.errors", "hie.fhir", "hie.settings", "hie.store"),
    "hie.fhir": ("hie.errors", "hie.fhir"),
    "hie.settings": (),
    "hie.errors": (),
    "hie": (),
    "fhir_adapters": ("fhir_adapters", "ml.result", "ml.recommender.history"),
    "ml": ("ml",),
}  # fmt: skip
#: What is imported later, inside a function, may point at these as well.
LATER: dict[str, tuple[str, ...]] = {
    "hie.cli": ("hie.commands", "hie.settings"),
    "hie.app": ("hie.web",),
    "hie.registry": ("hie.operations", "hie.jobs", "hie.models", "fhir_adapters", "ml"),
    "hie.models": ("ml",),
    "hie.web.admin": ("ml.result",),
}

#: third-party module -> where alone it may be imported
CONFINED: dict[str, tuple[str, ...]] = {
    "flask": ("hie.web", "hie.app"),
    "flask_sqlalchemy": ("hie.web.database",),
    "werkzeug": ("hie.web",),
    "granian": ("hie.commands.serve", "hie.commands.web_processes"),
    "click": ("hie.cli",),
    "sqlalchemy": ("hie.store", "hie.web.database"),
    "alembic": ("hie.store",),
    "cryptography": ("hie.store", "hie.security"),
    "tensorflow": ("ml.cnn",),
    "keras": ("ml.cnn",),
    "tf2onnx": ("ml.cnn",),
    "onnxruntime": ("ml",),
    "pydicom": ("fhir_adapters",),
    "PIL": ("fhir_adapters", "ml"),
}
#: names of SQLAlchemy that say what is passed on, and nothing of SQL; text for the probe SELECT 1
SQL_NAMES = {"hie.app": {"Engine"}, "hie.web.health": {"text"}, "hie.web.admin": {"Connection"},
             "hie.commands": {"Connection"}}  # fmt: skip
#: never imported when a module is loaded: they cost seconds or hundreds of megabytes
HEAVY = ("tensorflow", "keras", "tf2onnx", "onnxruntime")


class Import(NamedTuple):
    """One imported module: by whom, where, and whether it happens as soon as the importing module is loaded."""

    importer: str
    module: str
    names: tuple[str, ...]
    line: int
    at_load: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"


def _sources() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path
    yield "wsgi", ROOT / "wsgi.py"


def imports_of(importer: str, source: str) -> list[Import]:
    """Return every import that really happens; those for type checkers do not."""
    found: list[Import] = []
    _collect(ast.parse(source), importer, True, found)
    return found


def _collect(node: ast.AST, importer: str, at_load: bool, found: list[Import]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                _collect(other, importer, at_load, found)
        elif isinstance(child, ast.Import):
            found += [Import(importer, alias.name, (), child.lineno, at_load) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += _from(child, importer, at_load)
        else:
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            _collect(child, importer, at_load and not inside, found)


def _from(node: ast.ImportFrom, importer: str, at_load: bool) -> Iterator[Import]:
    names = tuple(alias.name for alias in node.names)
    module = node.module or ""
    if node.level:
        here = importer.split(".") if importer in PACKAGE_NAMES else importer.split(".")[:-1]
        module = ".".join([*here[: len(here) - node.level + 1], *([module] if module else [])])
    if module.split(".")[0] in PACKAGES:
        # `from hie.fhir import facts` imports hie.fhir.facts
        for name in names:
            inner = f"{module}.{name}"
            yield Import(importer, inner if inner in MODULES else module, names, node.lineno, at_load)
    else:
        yield Import(importer, module, names, node.lineno, at_load)


MODULES = {name for name, _ in _sources()}
PACKAGE_NAMES = {name for name, path in _sources() if path.name == "__init__.py"}


@cache
def imports() -> tuple[Import, ...]:
    """Return the imports of all modules, read where a test asks, not by every process that collects tests."""
    return tuple(
        found for name, path in _sources() for found in imports_of(name, path.read_text(encoding="utf-8"))
    )


def _is_below(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def _allowed(importer: str, arrows: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    matching = [prefix for prefix in arrows if _is_below(importer, prefix)]
    return arrows[max(matching, key=len)] if matching else ()


def _points_down(found: Import) -> bool:
    allowed = _allowed(found.importer, ARROWS)
    if not found.at_load:
        allowed += _allowed(found.importer, LATER)
    # the package itself holds its version number and nothing else
    return found.module == "hie" or any(_is_below(found.module, prefix) for prefix in allowed)


def test_there_are_imports_to_judge() -> None:
    assert len(imports()) > 300
    assert any(found.importer == "hie.app" and found.module == "hie.context" for found in imports())


def test_every_import_of_our_own_points_downwards() -> None:
    ours = [found for found in imports() if found.module.split(".")[0] in (*PACKAGES, "wsgi")]
    assert [str(found) for found in ours if not _points_down(found)] == []


def test_an_arrow_that_points_up_would_be_found() -> None:
    upward = imports_of("hie.fhir.dates", "from hie.store.database import Database")
    assert [_points_down(found) for found in upward] == [False]


@pytest.mark.parametrize("module", sorted(CONFINED))
def test_it_is_imported_in_its_layer_alone(module: str) -> None:
    strangers = [
        str(found)
        for found in imports()
        if found.module.split(".")[0] == module
        and not any(_is_below(found.importer, place) for place in CONFINED[module])
        and not (module == "sqlalchemy" and _names_only(found))
    ]
    assert strangers == []


def _names_only(found: Import) -> bool:
    """Tell whether the import brings only names that are allowed at that place; exceptions are always allowed."""
    allowed = {name for prefix, names in SQL_NAMES.items() if _is_below(found.importer, prefix) for name in names}
    return found.module == "sqlalchemy.exc" or (bool(found.names) and set(found.names) <= allowed)


def test_nothing_heavy_is_imported_when_a_module_is_loaded() -> None:
    assert [str(found) for found in imports() if found.at_load and found.module.split(".")[0] in HEAVY] == []


def test_every_third_party_package_is_declared() -> None:
    declared = _declared()
    standard = set(sys.stdlib_module_names) | set(PACKAGES) | {"wsgi", "__future__"}
    by_module = packages_distributions()
    undeclared = set()
    for found in imports():
        top = found.module.split(".")[0]
        if top in standard:
            continue
        distributions = {_normal(name) for name in by_module.get(top, [top])}
        if not distributions & declared:
            undeclared.add(f"{found} ({', '.join(sorted(distributions))})")
    assert sorted(undeclared) == []


def _declared() -> set[str]:
    """The distributions that setup.py names, in any list."""
    strings = (node.value for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")))
               if isinstance(node, ast.Constant) and isinstance(node.value, str))
    names = (re.match(r"([A-Za-z0-9._-]+)(\[[a-z]+\])?>=", text) for text in strings)
    return {_normal(match[1]) for match in names if match}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_models_know_nothing_of_the_exchange_format() -> None:
    words = re.compile(r"\b(fhir|observation|resourcetype)\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for name, path in _sources()
        if _is_below(name, "ml")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


def test_no_file_is_named_after_nothing() -> None:
    nameless = {"utils", "util", "misc", "common", "helpers", "manager", "base_utils"}
    assert [str(path) for name, path in _sources() if name.rpartition(".")[2] in nameless] == []
