"""HL7's snippets of XHTML, judged as narratives of R4 (txt-1): pictures drawn inside of them came with R5."""

from __future__ import annotations

import pytest

from hie.fhir.validation import narrative
from tests.official_cases import cases

JUDGED = {
    "bad-chars.html": "not well-formed", "bad-link.html": "not well-formed", "entities.html": None,
    "namespaced-non-root-svg.html": "<svg:svg> must not stand", "non-root-svg.html": "<svg> must not stand",
    "svg.html": "A narrative is one <div>",
}  # fmt: skip


@pytest.mark.parametrize(("name", "told"), JUDGED.items(), ids=list(JUDGED))
def test_official_snippets_are_judged_as_r4_judges_narratives(name: str, told: str | None) -> None:
    found = narrative.problem(cases("xhtml", name).read_text(encoding="utf-8").strip())
    assert found is None if told is None else told in str(found)
