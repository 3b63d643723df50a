"""Every line of the CapabilityStatement has its test, and what tests ask for is stated: docs/conformance.md."""

from __future__ import annotations

import ast
import re

import pytest

from tests import proofs

#: Asked for in tests to see that they are refused; and JSON Schema's $ref.
REFUSED_OPERATIONS = {
    "nothing", "unheard-of", "ref", "convert-data", "count", "csv", "evaluate-measure", "expunge",
    "process-message", "purge-history", "search", "transform", "binary-access-read", "perform-reindexing-pass",
    "a", "apply-codesystem-delta-add", "delete-expunge", "hapi", "healthcheck", "import", "invalidate-expansion",
    "export-poll-status", "mdm-submit", "member-match", "merge", "totals", "trigger-subscription",
    "bulk-delete", "bulk-update", "includes", "status",
}  # fmt: skip
REFUSED_MODIFIERS = {"every", "ge", "recurse"}


@pytest.mark.parametrize("title", list(proofs.sections()))
def test_every_line_of_the_statement_has_a_test(title: str) -> None:
    found = proofs.proved()
    assert [line for line in proofs.sections()[title] if not found[line]] == []


def test_every_marker_names_a_line() -> None:
    unknown = [(proof.file, proof.test, name) for proof in proofs.proofs() for name in proof.names
               if not proofs.matched(name)]
    assert unknown == [], "proves(…) of what the CapabilityStatement does not say"


def _asked(pattern: str) -> set[str]:
    """Return what the plain texts of the tests that speak HTTP ask for."""
    return {
        name
        for path in (proofs.ROOT / "tests" / "conformance").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in re.findall(pattern, node.value)
    }


def test_no_operation_is_tested_that_is_not_stated() -> None:
    stated = {line.partition("$")[2] for line in proofs.lines() if line.startswith("operation:")}
    assert _asked(r"(?:^|/)\$([a-z][a-z-]*)") - stated == REFUSED_OPERATIONS


def test_no_modifier_is_tested_that_is_not_told() -> None:
    told = {line.rpartition(":")[2] for line in proofs.lines() if line.startswith("modifier:")} | {"iterate"}
    assert _asked(r"[?&][\w.-]+:([a-z][a-z-]*)=") - told == REFUSED_MODIFIERS


def test_the_page_is_the_one_that_the_markers_make() -> None:
    assert proofs.PAGE.read_text(encoding="utf-8") == proofs.page(), "python -m tests.proofs writes it anew"
