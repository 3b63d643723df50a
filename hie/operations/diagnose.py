"""$diagnose, an operation of this server: let the chest radiograph model judge the image of a Media, now.

What it writes and how: docs/ai-results.md. The worker's jobs do the same (hie/jobs/diagnosis.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.errors import Unprocessable
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse, Preferences
from hie.fhir.instants import instant
from hie.models import CHEST_XRAY, loaded
from hie.operations import media_image
from hie.operations.server_context import as_server, require
from hie.registry import Operation

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
    written = write(result(media, ctx), ctx)
    return observation_of(written, ctx)


def result(media: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """The transaction Bundle of what the model says about the image of a Media; nothing is written."""
    from fhir_adapters.results import Refusal, Source, diagnosis_bundle
    from ml.cnn.heatmap import heatmap_png

    patient = media_image.patient_of(media, ctx.store.base_url)
    if patient is None:
        raise Unprocessable("The Media has no subject that is a Patient of this server, so a result would belong to "
                            "nobody.", expression="Media.subject")
    if media.get("status") in _NEVER_JUDGED:
        raise Unprocessable(f"The Media has status {media['status']}.", expression="Media.status")
    image = media_image.image_of(media, ctx.store)
    source = Source(f"Media/{media['id']}", {**media, "subject": {"reference": patient}}, image.sha256)
    manifest = loaded(CHEST_XRAY, ctx).manifest
    found = _judgement(media, image, ctx)
    heat_map = None
    if not isinstance(found, Refusal) and found.heatmap is not None:
        heat_map = heatmap_png(found)
    now = instant(ctx.clock())
    return diagnosis_bundle(source, found, _facts(manifest), manifest["positive_class"], heat_map, now)


def _judgement(media: dict[str, Any], image: media_image.MediaImage, ctx: Context) -> Prediction | Refusal:
    from fhir_adapters import chest_xray, imaging
    from fhir_adapters.base import AdapterError, Unsupported
    from fhir_adapters.results import Refusal
    from ml.result import InvalidImage

    try:
        decoded = imaging.decode(image.data, image.content_type)
    except Unsupported as error:
        return Refusal("unsupported", error.diagnostics)
    except AdapterError as error:
        return Refusal("error", error.diagnostics)
    objection = chest_xray.objection(media, decoded)
    if objection is not None:
        return Refusal("not-performed", objection)
    try:
        prediction: Prediction = loaded(CHEST_XRAY, ctx).predict(decoded.pixels)
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


def write(bundle: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """Store a Bundle that this server made, by the same interaction as everybody's, and return the response Bundle."""
    # Written and read again, so that the interaction sees what it would see of a client's: decimals with their text.
    body = json_format.parse(json_format.dump(bundle))
    request = FhirRequest("transaction", resource=body, method="POST", preferences=Preferences(return_="minimal"))
    answer = ctx.dispatch(request, as_server(ctx))
    response: dict[str, Any] = json_format.parse(answer.content or b"{}")
    return response


def observation_of(response: dict[str, Any], ctx: Context) -> FhirResponse:
    """The Observation of a written result, as the client may read it."""
    first = response["entry"][0]
    id_ = id_of(first, "Observation")
    stored = ctx.store.read("Observation", id_)
    status = 201 if str(first["response"]["status"]).startswith("201") else 200
    location = f"Observation/{id_}/_history/{stored.vid}"
    return FhirResponse(status, stored.content, stored.vid, stored.updated, location, entity=("Observation", id_))


def id_of(entry: dict[str, Any], type_name: str) -> str:
    """The id that an entry of a response Bundle was given, or found."""
    return str(entry["response"]["location"]).rpartition(f"{type_name}/")[2].partition("/")[0]


OPERATION = Operation(
    code="diagnose",
    levels=frozenset({"instance"}),
    types=frozenset({"Media"}),
    function=diagnose,
    definition="urn:x-hie:operation:diagnose",
    affects_state=True,
)
