"""What there is stands in the documents: settings, commands, operations, adapters, interactions, decisions."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import click
import pytest

from hie.cli import main
from hie.commands.settings import page
from hie.fhir.search_parameters import for_type
from hie.interactions.dispatch import INTERACTIONS
from hie.registry import Operation, built_in
from hie.settings import Settings
from hie.web import openapi

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def headings(path: Path) -> set[str]:
    return {line.lstrip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"}


def commands(group: click.Group, prefix: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


def test_the_page_of_settings_is_the_one_that_the_code_prints() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == "\n".join(page()) + "\n"


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_has_its_heading_and_a_meaning(name: str) -> None:
    assert f"HIE_{name.upper()}" in headings(DOCS / "settings.md")
    assert next(f for f in fields(Settings) if f.name == name).metadata["meaning"].endswith(".")


@pytest.mark.parametrize("command", sorted(commands(main, "hie")))
def test_every_command_has_its_heading_and_its_help(command: str) -> None:
    assert command in headings(DOCS / "commands.md")
    found: click.Command = main
    for part in command.split()[1:]:
        assert isinstance(found, click.Group)
        found = found.commands[part]
    assert found.help
    for parameter in found.params:
        assert not isinstance(parameter, click.Option) or parameter.help or parameter.name in ("seed",), parameter.name


def test_no_command_is_described_that_is_not_there() -> None:
    described = {heading for heading in headings(DOCS / "commands.md") if heading.startswith("hie ")}
    assert described == set(commands(main, "hie"))


@pytest.mark.parametrize("interaction", sorted(set(INTERACTIONS) - {"operation"}))
def test_every_interaction_has_its_page(interaction: str) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "api").glob("*.md")))
    every = {heading.lower() for path in (DOCS / "api").glob("*.md") for heading in headings(path)}
    kind = interaction.partition("-")[0]
    assert any(kind in heading for heading in every)
    assert interaction in text


#: The lines of the OpenAPI document that a page tells of, and the pages that it refers to for more.
TOLD = {
    "create": ({"create"}, ()), "read": ({"read"}, ()), "vread": ({"vread"}, ()),
    "update": ({"update", "conditional-update"}, ("create",)), "patch": ({"patch", "conditional-patch"}, ()),
    "delete": ({"delete", "conditional-delete", "delete-history", "delete-history-version"}, ()),
    "history": ({"history-instance", "history-type", "history-system"}, ()),
    "search": ({"search-type", "search-system", "search-compartment", "search-form", "search-compartment-form"}, ()),
    "transaction": ({"transaction"}, ("create", "patch", "delete")),
}  # fmt: skip


def refusals(page: str) -> set[int]:
    """Return the statuses that a page's tables of refusals name; failures of the server may come everywhere."""
    rows = re.findall(r"^\|.*\| ([45][0-9, ]+) \|[^|]*\|$", (DOCS / "api" / f"{page}.md").read_text("utf-8"), re.M)
    return {int(status) for row in rows for status in row.split(", ") if int(status) < 500}


@pytest.mark.parametrize("page", list(TOLD))
def test_what_an_interaction_refuses_stands_in_the_openapi_document(page: str) -> None:
    lines, others = TOLD[page]
    told = set().union(*(openapi.STATUSES[line] for line in lines))
    named = refusals(page).union(*(refusals(other) for other in others))
    assert named
    assert named - told == set()


@pytest.mark.parametrize("code", sorted({operation.code for operation in built_in().operations}))
def test_every_operation_has_its_heading(code: str) -> None:
    every = {heading for path in DOCS.rglob("*.md") for heading in headings(path)}
    assert any(f"${code}" in heading for heading in every)


OPERATIONS = built_in().operations
CODES = sorted({operation.code for operation in OPERATIONS})


@cache
def told_of(code: str) -> str:
    """Return what stands below the heading of an operation on the one page that has it."""
    (found,) = [section for path in (DOCS / "api").glob("*.md")
                for section in re.findall(rf"^## \${code}\n(.*?)(?=^## |\Z)", path.read_text("utf-8"), re.M | re.S)]
    return str(found)


def taken(code: str) -> set[str]:
    return {one.name for operation in OPERATIONS if operation.code == code for one in operation.parameters}


@pytest.mark.parametrize("code", CODES)
def test_every_parameter_of_an_operation_stands_in_its_section(code: str) -> None:
    answered = {one.name for operation in OPERATIONS if operation.code == code and len(operation.returns) > 1
                for one in operation.returns}  # one alone is the answer itself
    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", told_of(code)))))
    assert (taken(code) | answered) - named == set()


@pytest.mark.parametrize("code", CODES)
def test_what_tables_and_addresses_of_a_section_name_is_a_parameter(code: str) -> None:
    section, known = told_of(code), taken(code)
    for operation in OPERATIONS:
        if operation.code == code and operation.takes_search:
            known |= operation.takes_search
            known |= {name for type_name in operation.types or ("Resource",) for name in for_type(type_name)}
    addresses = {name for query in re.findall(rf"\${code}\?([^`<]*)", section)
                 for name in re.findall(r"(?:^|&)([\w-]+)=", query)}
    tables = re.findall(r"^\| parameter \| meaning \|\n\|[-|]+\n((?:\|.*\n)+)", section, re.M)
    rows = {name for table in tables for cell in re.findall(r"^\| (.*?) \|", table, re.M)
            for name in re.findall(r"`([\w-]+)[`=]", cell)}
    assert (addresses | rows) - known == set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{'-'.join(sorted(one.types or ()))}${one.code}")
def test_every_operation_and_its_parameters_say_what_they_do(operation: Operation) -> None:
    untold = [operation.code] if not operation.documentation.endswith(".") else []
    waiting = [(one, one.name) for one in (*operation.parameters, *operation.returns)]
    for one, name in waiting:
        untold += [name] if not (one.refused or one.documentation).endswith(".") else []
        waiting += [(part, f"{name}.{part.name}") for part in one.parts if one.refused is None]
    assert untold == []
    assert operation.returns


@pytest.mark.parametrize("model", sorted(model.name for model in built_in().models))
def test_every_model_has_its_page_with_data_figures_and_limits(model: str) -> None:
    found = headings(DOCS / "models" / f"{model}.md")
    for one_of in ({"Data"}, {"Figures", "Measures"}, {"Limits", "What it is not"}):
        assert one_of & found


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "adr").glob("*.md"))]
    assert len(numbers) >= 9
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("*.md")), ids=lambda path: path.stem)
def test_every_decision_says_context_decision_status_and_consequences(path: Path) -> None:
    assert {"Context", "Decision", "Status", "Consequences"} <= headings(path)


def _committed() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout: which files belong to the project is not known otherwise")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_every_link_of_a_document_leads_to_a_file() -> None:
    broken = []
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:")) and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    places = re.compile(rb"(?<![\w.])/(?:work|tmp|home|root|Users)/[a-z]")
    found = [
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in _committed()
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ""} and path != Path(__file__)
        for match in places.finditer(path.read_bytes())
    ]
    assert found == []


def test_nothing_is_left_to_be_done_in_the_code() -> None:
    word = re.compile("TO" + "DO|FIX" + "ME|XX" + "X")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _committed()
        if path.suffix == ".py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert found == []
