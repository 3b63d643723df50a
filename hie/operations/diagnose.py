"""$diagnose, an operation of this server: let the chest radiograph model judge the image of a Media, now.

What it writes and how: docs/ai-results.md. The worker's jobs do the same (hie/jobs/diagnosis.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.errors import Busy, Forbidden, Gone, NotFound, Unprocessable
from hie.fhir import json_format, modifiers
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.models import CHEST_XRAY, loaded
from hie.operations import ai_results, media_image
from hie.operations.ai_results import Written
from hie.operations.server_context import require, require_for
from hie.registry import Operation, Parameter

if TYPE_CHECKING:
    from fhir_adapters.ai_model import ModelFacts
    from fhir_adapters.results import Refusal
    from ml.result import Prediction

SAFETY = (
    "A research model, no medical device: it was never tested with patients, and a person has to read every image that "
    "it judged. Trained on frontal chest radiographs of children; its answer for anybody else is not known to be right."
)
_NEVER_JUDGED = frozenset({"entered-in-error", "not-done", "preparation"})


def diagnose(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Judge the image of a Media and answer with the Observation, 201 if it is new."""
    require(ctx, "Observation", "c")
    require(ctx, "Observation", "r")
    media = json_format.parse(ctx.store.read("Media", request.id or "").content or b"{}")
    found = result(media, ctx)
    require_for(ctx, "cr", found["entry"][0]["resource"])
    return _answer(ai_results.write(found, ctx)[0], ctx)


def _answer(written: Written, ctx: Context) -> FhirResponse:
    """The Observation, as the client may read it."""
    try:
        stored = ctx.store.read(written.type, written.id)
    except (NotFound, Gone) as error:  # it was there, and somebody changed it since
        raise Forbidden("The image was judged before, and the token's scopes do not cover what the result has become.",
                        expression="Observation") from error
    location = f"{written.type}/{written.id}/_history/{stored.vid}"
    return FhirResponse(201 if written.is_new else 200, stored.content, stored.vid, stored.updated, location,
                        entity=(written.type, written.id))


def result(media: dict[str, Any], ctx: Context, sha256: str | None = None) -> dict[str, Any]:
    """The transaction Bundle of what the model says about the image of a Media; nothing is written.

    `sha256`: of the image that is meant, where another would be somebody else's question.
    """
    from fhir_adapters.results import Refusal, Source, diagnosis_bundle
    from ml.cnn.heatmap import heatmap_png

    patient = media_image.patient_of(media, ctx.store.base_url)
    if patient is None:
        raise Unprocessable("The Media has no subject that is a Patient of this server, so a result would belong to "
                            "nobody.", expression="Media.subject")
    if media.get("status") in _NEVER_JUDGED:
        raise Unprocessable(f"The Media has status {media['status']}.", expression="Media.status")
    modifiers.refuse_definition(media)
    image = media_image.image_of(media, ctx.store)
    if sha256 not in (None, image.sha256):
        raise Unprocessable("The image was replaced by another; an update of the Media asks for that one.",
                            expression="Media.content")
    media_image.inspected(image)
    source = Source(f"Media/{media['id']}", {**media, "subject": {"reference": patient}}, image.sha256)
    model = loaded(CHEST_XRAY, ctx)  # once: an administrator may switch to another version at any moment
    manifest = model.manifest
    found = _judgement(media, image, model)
    heat_map = None
    if not isinstance(found, Refusal) and found.heatmap is not None:
        heat_map = heatmap_png(found)
    now = instant(ctx.clock())
    return diagnosis_bundle(source, found, _facts(manifest), manifest["positive_class"], heat_map, now)


def _judgement(media: dict[str, Any], image: media_image.MediaImage, model: Any) -> Prediction | Refusal:
    from fhir_adapters import chest_xray, imaging
    from fhir_adapters.base import AdapterError, Occupied, Unsupported
    from fhir_adapters.results import Refusal
    from ml.result import InvalidImage

    try:
        decoded = imaging.decode(image.data, image.content_type)
    except Occupied as error:
        raise Busy(error.diagnostics) from error
    except Unsupported as error:
        return Refusal("unsupported", error.diagnostics)
    except AdapterError as error:
        return Refusal("error", error.diagnostics)
    objection = chest_xray.objection(media, decoded)
    if objection is not None:
        return Refusal("not-performed", objection)
    try:
        prediction: Prediction = model.predict(decoded.pixels)
    except InvalidImage as error:
        return Refusal("not-performed", str(error))
    return prediction


def _facts(manifest: Any) -> ModelFacts:
    from fhir_adapters import ai_codes
    from fhir_adapters.ai_model import ModelFacts

    return ModelFacts(
        manifest["name"], manifest["version"], manifest["title"], ai_codes.DEEP_LEARNING, SAFETY,
        float(manifest["threshold"]["value"]),
    )  # fmt: skip


OPERATION = Operation(
    code="diagnose",
    levels=frozenset({"instance"}),
    types=frozenset({"Media"}),
    function=diagnose,
    returns=(Parameter("return", "Observation", 1, documentation="The result, which is stored: preliminary, for a "
                       "person to look at."),),
    documentation="Lets the chest radiograph model judge the image of a Media, and stores what it says as an "
                  "Observation. " + SAFETY,
    affects_state=True,
)
