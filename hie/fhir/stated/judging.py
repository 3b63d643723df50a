"""Ask all that R4's text states of one resource, in one walk: https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hie.fhir.terminology.terminology import Terminology
from hie.fhir.validation.issue import Issue, Problem, below, issues
from hie.fhir.working_time import WorkingTime

from . import bundles, code_systems, definitions, forms, groups, questionnaires, values
from .displays import Displays
from .fragments import Fragments
from .ids import Ids
from .narratives import Narratives
from .walk import objects

#: Problems of one severity that are kept; of all the first hundred are told, errors before warnings.
MOST = 1_000
#: For code systems, where nobody says how much time there is.
SECONDS = 5.0


_OF_RESOURCES: dict[str, Callable[[dict[str, Any]], Iterator[Problem]]] = {
    "Bundle": bundles.of,
    "CodeSystem": code_systems.of,
    "Group": groups.of,
    "Questionnaire": questionnaires.of,
    "StructureDefinition": definitions.of,
}


def problems(
    resource: dict[str, Any], terminology: Terminology | None = None, time: WorkingTime | None = None
) -> list[Issue]:
    """Give what is not as R4's text says; a terminology tells what displays there are, as long as there is time."""
    name = str(resource["resourceType"])
    kept: list[Problem] = []
    counts: Counter[str] = Counter()
    for path, severity, code, text in _found(resource, terminology, time or WorkingTime(SECONDS)):
        counts[severity] += 1
        if counts[severity] <= MOST:
            kept.append((path.removeprefix(name), severity, code, text))
        elif severity == "error":
            break
    return issues(name, kept)


def _found(resource: dict[str, Any], terminology: Terminology | None, time: WorkingTime) -> Iterator[Problem]:
    ids, displays, fragments = Ids(), Displays(), Fragments()
    narratives = Narratives(ids)
    for one in objects(resource):
        if one.type in _OF_RESOURCES:
            yield from below(one.path, _OF_RESOURCES[one.type](one.value))
        elif one.type == "Coding":
            displays.note(one)
        for problem in (*values.of(one), *forms.of(one), *fragments.of(one), *ids.of(one), *narratives.of(one)):
            yield from below(one.path, (problem,))
    yield from narratives.left()
    if terminology is not None:
        yield from displays.wrong(terminology, time)
