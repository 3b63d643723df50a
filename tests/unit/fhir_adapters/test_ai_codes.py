"""Our own codes are defined where readers look for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_adapters.ai_codes import OWN_CODES, absent, own

PAGE = Path(__file__).parents[3] / "docs" / "ai-results.md"


@pytest.mark.parametrize("code", OWN_CODES)
def test_every_code_of_ours_is_documented_with_its_definition(code):
    assert f"| `{code}` | {OWN_CODES[code]} |" in PAGE.read_text(encoding="utf-8")


def test_a_code_that_we_do_not_have_is_an_error():
    with pytest.raises(KeyError):
        own("heatmap")
    with pytest.raises(KeyError):
        absent("unknown")
