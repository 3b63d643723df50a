"""A QuestionnaireResponse beside its Questionnaire, item by item: https://hl7.org/fhir/R4/questionnaireresponse.html

Both are valid by the base rules. What has to be there is asked of a response that is completed or amended: one that is
in progress may lack it. What cannot be told, such as a condition on what is not comparable, is never wrong; what there
is too much of to be compared could be, and is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Issue, Severity

from . import answers as of_answers
from .answers import InValueSet
from .enabling import Answers, Chain, is_enabled
from .form import Form, least
from .regular import SECONDS, Expressions
from .values import extensions, read

Json = dict[str, Any]

MOST_ISSUES = 500
#: Codes that are looked for in value sets.
MOST_ASKED = 5_000
#: Items, answers, options and bounds that are looked at: a group may be there, and have questions, thousands of times.
MOST_COMPARED = 300_000
InContained = Callable[[Json, Json, "str | None", str], "bool | None"]
"""Asks of a value set that is contained: it, the resource around it, system, code."""
_DONE = frozenset({"completed", "amended"})


def problems(
    response: Json, form: Form, in_value_set: InValueSet, path: str, in_contained: InContained | None = None
) -> list[Issue]:
    """Give what is wrong with a response at a path, at most MOST_ISSUES."""
    walk = _Walk(response, form, in_value_set, in_contained)
    try:
        walk.items(form.questionnaire, response.get("item", ()), path, ())
    except _Enough as reason:
        severity: Severity = "error" if reason.code == "incomplete" else "information"
        walk.issues.append(Issue(severity, reason.code, reason.text, path))
    if walk.expressions.is_over:
        text = f"Not all answers were compared with regular expressions, which may take {SECONDS:g} s altogether."
        walk.issues.append(Issue("error", "incomplete", text, path))
    return walk.issues


class _Enough(Exception):
    """As many issues are found as are told, or as much is compared as may be: an issue's code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class _Walk:
    def __init__(
        self, response: Json, form: Form, in_value_set: InValueSet, in_contained: InContained | None
    ) -> None:
        self.issues: list[Issue] = []
        self._is_done = response.get("status") in _DONE
        self._form, self._answers = form, Answers(response)
        self._in_value_set, self._in_contained, self._asked = in_value_set, in_contained, 0
        self._left = MOST_COMPARED
        self.expressions = Expressions()

    def _tell(self, code: str, text: str, path: str, severity: Severity = "error") -> None:
        if len(self.issues) >= MOST_ISSUES:
            raise _Enough("too-long", f"Only the first {MOST_ISSUES} issues are listed.")
        self.issues.append(Issue(severity, code, text, path))

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            text = f"The further answers are not checked: {MOST_COMPARED} items, answers and options were compared."
            raise _Enough("incomplete", text)

    def items(self, holder: Json, given: Any, path: str, chain: Chain) -> None:
        """Check the items of one level, by the items that the questionnaire, or one of its items, has there."""
        level = self._form.level(holder)
        known = level.by_link
        found: dict[str, list[tuple[Json, str]]] = {}
        for index, item in enumerate(given):
            where, link = f"{path}.item[{index}]", str(item.get("linkId"))
            if link in known:
                found.setdefault(link, []).append((item, where))
            elif link in self._form.links:
                self._tell("structure", f"The questionnaire has the item {shown(link)} in another place.", where)
            else:
                self._tell("not-found", f"The questionnaire has no item {shown(link)}.", f"{where}.linkId")
        wanted = [link for link in level.wanted if link not in found] if self._is_done else []
        self._spend(len(given) + len(found) + (len(level.wanted) if self._is_done else 0))
        for link in (*found, *wanted):
            self._item(known[link], found.get(link, []), path, chain)

    def _item(self, asked: Json, found: list[tuple[Json, str]], path: str, chain: Chain) -> None:
        self._spend(len(asked.get("enableWhen", ())) + len(asked.get("extension", ())))
        enabled = is_enabled(asked, chain, self._answers)
        is_group = asked.get("type") == "group"
        if enabled is False:
            for item, where in found:
                if not _is_empty(item):
                    text = f"The item {shown(asked.get('linkId'))} has answers, and is not enabled."
                    self._tell("business-rule", text, where, "error" if self._is_done else "warning")
            return
        if len(found) > 1 and not (is_group and asked.get("repeats")):
            text = "A group that does not repeat is there once." if is_group else (
                "All answers to a question stand in one item.")
            self._tell("structure", f"{text} Found {len(found)} items {shown(asked.get('linkId'))}.", found[1][1])
        self._number(asked, found, path, is_certain=enabled is True)
        for item, where in found:
            inside = (*chain, id(item))
            if is_group or "item" in item:
                self.items(asked, item.get("item", ()), where, inside)
            self._answered(asked, item, where, inside)

    def _number(self, asked: Json, found: list[tuple[Json, str]], path: str, *, is_certain: bool) -> None:
        """Check how often a group is there, or a question answered."""
        is_group = asked.get("type") == "group"
        count = sum(not _is_empty(item) for item, _ in found) if is_group else sum(
            len(item.get("answer", ())) for item, _ in found)
        where, what = found[0][1] if found else path, "groups" if is_group else "answers"
        named = f"of {shown(asked.get('linkId'))}"
        if not is_group and count > 1 and not asked.get("repeats"):
            self._tell("structure", f"One answer {named} is allowed; found {count}.", where)
        for most in extensions(asked, "questionnaire-maxOccurs"):
            if isinstance(most.value, int) and count > most.value:
                self._tell("structure", f"At most {most.value} {what} {named} are allowed; found {count}.", where)
        if self._is_done and is_certain and count < (wanted := least(asked)):
            self._tell("required", f"At least {wanted} {what} {named} must be there; found {count}.", where)

    def _answered(self, asked: Json, item: Json, where: str, chain: Chain) -> None:
        rows = item.get("answer", ())
        if rows and asked.get("type") in of_answers.WITHOUT_ANSWERS:
            text = f"An item of type {asked['type']} has no answers; what is in it stands in item."
            self._tell("structure", text, f"{where}.answer")
            return
        for index, row in enumerate(rows):
            at, value = f"{where}.answer[{index}]", read(row, "value")
            if value is not None:
                options = self._form.options(asked)
                self._spend(options.cost(value))
                for code, text in of_answers.wrong(asked, options, value, self._is_in, self.expressions):
                    self._tell(code, text, f"{at}.value")
                if len(rows) > 1 and options.is_exclusive(value):
                    text = f"{of_answers.told(value)} allows no other answer beside it."
                    self._tell("business-rule", text, f"{at}.value")
            self.items(asked, row.get("item", ()), at, (*chain, id(row)))

    def _is_in(self, url: str, system: str | None, code: str) -> bool | None:
        self._asked += 1
        if self._asked > MOST_ASKED:
            raise _Enough("incomplete", f"The further answers are not checked: {MOST_ASKED} codes were looked for in "
                                        "value sets.")
        if not url.startswith("#"):
            return self._in_value_set(url, system, code)
        contained = self._form.value_set(url)
        if contained is None or self._in_contained is None:
            return None
        return self._in_contained(contained, self._form.container, system, code)


def _is_empty(item: Json) -> bool:
    return "answer" not in item and all(_is_empty(one) for one in item.get("item", ()))
