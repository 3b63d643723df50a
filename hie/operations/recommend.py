"""$recommend, an operation of this server: what patients with a like history have, and this one has not.

GET returns Observations that are not stored; POST attaches them to the record. What they hold: docs/ai-results.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.errors import InvalidRequest, Unprocessable
from hie.fhir import bundle, outcome
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment
from hie.models import RECOMMENDER, loaded
from hie.operations import ai_results, histories
from hie.operations.server_context import require, require_for
from hie.registry import Operation, Parameter

if TYPE_CHECKING:
    from fhir_adapters.ai_model import ModelFacts
    from ml.recommender import Recommendation
    from ml.recommender.history import History

TITLE = "Recommendations from like histories"
DEFAULT_COUNT = 10
MOST = 100
#: So many records are named whose medication was not looked at.
_NAMED = 20
SAFETY = (
    "A research model, no medical device. It orders what patients with a like history have; it knows no reasons, no "
    "contraindications and no interactions. Trained on synthetic records. A person has to weigh every proposal."
)


def recommend(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Answer with the recommendations for one patient; POST stores them, once for each state of the record."""
    from fhir_adapters.recommendations import record_state

    kind, count = request.parameter("kind"), _count(request)
    attach = request.method == "POST"
    require(ctx, "Observation", "r")
    if attach:
        require(ctx, "Observation", "c")
    history = histories.history(request.id or "", ctx)
    at = ctx.clock()
    today = datetime.fromtimestamp(at / 1_000_000, UTC).date()
    model = loaded(RECOMMENDER, ctx)  # once: an administrator may switch to another version at any moment
    found, facts = _found(model, history, kind, count, today), _facts(model)
    state = record_state(history, history.age(today))
    rows = (_stored if attach else _shown)(found, f"Patient/{request.id}", state, facts, instant(at), ctx)
    unseen = list(_unseen(history, ctx))
    if unseen:
        rows.append({"resource": outcome.outcome([outcome.information(text) for text in unseen])})
    return FhirResponse(200, bundle.listing("collection", ctx.new_id(), at, (), rows))


def _unseen(history: History, ctx: Context) -> Iterator[str]:
    """Say what was not looked at."""
    hidden = histories.hidden_types(ctx)
    if hidden:
        yield f"The token does not cover {', '.join(hidden)}: what they hold was not looked at."
    without = histories.without_medication(history)
    if without:
        more = f" and {len(without) - _NAMED} more" if len(without) > _NAMED else ""
        yield (f"The medication of {', '.join(without[:_NAMED])}{more} is on another server, or not covered by the "
               "token: it was not looked at.")


def _count(request: FhirRequest) -> int:
    text = request.parameter("count")
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST):
        raise InvalidRequest(f"count is {text[:80]!r}; it must be a whole number from 1 to {MOST}.", expression="count")
    return int(text)


def _found(model: Any, history: History, kind: str | None, count: int, today: Any) -> list[Recommendation]:
    from ml.recommender import PatientDeceased, RecommenderError

    try:
        found: list[Recommendation] = model.recommend(history, kind=kind, count=count, now=today)
    except PatientDeceased as error:
        raise Unprocessable(str(error), expression="Patient.deceased[x]") from error
    except RecommenderError as error:
        raise InvalidRequest(str(error), expression="kind") from error
    return found


def _facts(model: Any) -> ModelFacts:
    from fhir_adapters import ai_codes
    from fhir_adapters.ai_model import ModelFacts

    return ModelFacts(model.name, model.version, TITLE, ai_codes.MACHINE_LEARNING, SAFETY)


def _shown(
    found: list[Recommendation], patient: str, state: str, model: ModelFacts, now: str, ctx: Context
) -> list[dict[str, Any]]:
    """Observations that are nowhere stored; their model is named by its identifier, as it may have no Device yet."""
    from fhir_adapters.ai_model import full_url
    from fhir_adapters.recommendations import identifier_of, observation

    device = {"identifier": model.identifier, "display": f"{model.name} {model.version}"}
    rows: list[dict[str, Any]] = [
        {
            "fullUrl": full_url(identifier_of(one, patient, state, model), "Observation"),
            "resource": observation(one, patient, state, model, now, device),
        }
        for one in found
    ]
    for row in rows:
        require_for(ctx, "r", row["resource"])
    return rows


def _stored(
    found: list[Recommendation], patient: str, state: str, model: ModelFacts, now: str, ctx: Context
) -> list[dict[str, Any]]:
    """The Observations as they are stored, whether now or before."""
    from fhir_adapters.recommendations import recommendation_bundle

    if not found:
        return []
    proposed = recommendation_bundle(found, patient, state, model, now)
    for entry in proposed["entry"][: len(found)]:
        require_for(ctx, "cr", entry["resource"])
    targets = [(one.type, one.id) for one in ai_results.write(proposed, ctx)[: len(found)]]
    stored = ctx.store.read_many(targets)
    return [
        {"fullUrl": f"{ctx.base_url}/{type_}/{id_}", "resource": Fragment(stored[type_, id_].content or b"{}")}
        for type_, id_ in targets
        if (type_, id_) in stored
    ]


OPERATION = Operation(
    code="recommend",
    levels=frozenset({"instance"}),
    types=frozenset({"Patient"}),
    function=recommend,
    parameters=(
        Parameter("kind", "code", documentation="Only items of this kind: condition, procedure, medication or "
                  "immunization."),
        Parameter("count", "positiveInt",
                  documentation=f"So many at most, up to {MOST}; {DEFAULT_COUNT} unless given."),
    ),
    returns=(Parameter("return", "Bundle", 1, documentation="A Bundle of the type collection with an Observation for "
                       "each recommendation, and an OperationOutcome that tells what was not looked at."),),
    documentation="What patients with a like history have, and this one has not, by the recommender model. GET stores "
                  "nothing; POST attaches the Observations to the record, once for each state of it. " + SAFETY,
    stores_by_post=True,
)
