"""An OperationOutcome is itself valid, whatever a client sent that stands in its texts."""

import pytest

from hie.errors import InvalidSearch, OutcomeIssue
from hie.fhir.outcome import MOST_ISSUES, of_error, outcome
from hie.fhir.validation import validate


@pytest.mark.parametrize("sent", ["\x1b[2J", "\x00", "\x07é", "a\tb\r\nc", "", " "])
def test_what_a_client_sent_leaves_the_outcome_valid(sent):
    refusal = of_error(InvalidSearch(f"_id={sent}: no id.", expression=sent))
    assert [issue for issue in validate(refusal) if issue.severity == "error"] == []


def test_line_breaks_and_other_scripts_are_kept():
    text = "first\nsecond\té \u202e"
    assert outcome([OutcomeIssue("invalid", text)])["issue"][0]["diagnostics"] == text


def test_a_long_list_of_issues_is_cut_and_says_so():
    found = outcome([OutcomeIssue("invalid", "x")] * (MOST_ISSUES + 5))["issue"]
    assert len(found) == MOST_ISSUES + 1
    assert found[-1]["diagnostics"] == "5 more issues are not listed."
