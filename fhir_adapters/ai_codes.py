"""Codes of AI results: those of others with their source, and our own where there are none.

Labels and devices: HL7 AI Transparency on FHIR 1.0.0 (hl7.fhir.uv.aitransparency). SNOMED CT and LOINC codes are those
of US Core 7.0.0, IPS 1.1.0 and Synthea records; HL7 codes those of R4 4.0.1. Our own are defined in OWN_CODES and in
docs/ai-results.md.
"""

from __future__ import annotations

from typing import Any

Element = dict[str, Any]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
DICOM_CODES = "http://dicom.nema.org/resources/ontology/DCM"
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem"
TRANSPARENCY = "http://hl7.org/fhir/uv/aitransparency"

OWN = "urn:x-hie:ai"
RESULT_IDENTIFIER = "urn:x-hie:ai:result"
MODEL_IDENTIFIER = "urn:x-hie:ai:model"
TASK_IDENTIFIER = "urn:x-hie:ai:task"
ITEM_EXTENSION = "urn:x-hie:ai:item"
SOURCE_EXTENSION = "urn:x-hie:ai:source"
CONFIDENCE_EXTENSION = f"{TRANSPARENCY}/StructureDefinition/AIconfidence"
KIND_EXTENSION = f"{TRANSPARENCY}/StructureDefinition/aitransparency.AIKind"

OWN_CODES = {
    "image-diagnosis": "Judgement of one image by a model; the code of a Task that asks for it.",
    "image-model": "How a finding was made: a neural network looked at one image.",
    "probability": "Calibrated probability, 0 to 1, that the finding of the Observation is present.",
    "decision-threshold": "Probability from which on the model calls the finding present.",
    "gate-score": "How unlike the images of the model's training this image is; above the gate threshold: refused.",
    "gate-threshold": "Gate score above which an image is refused.",
    "heat-map": "Picture of which parts of an image speak for or against the finding.",
    "recommended-condition": "Condition that patients with a like history have, and that this record has not.",
    "recommended-immunization": "Immunization that patients with a like history have, and that this record has not.",
    "recommended-medication": "Medication that patients with a like history have, and that this record has not.",
    "recommended-procedure": "Procedure that patients with a like history have, and that this record has not.",
    "score": "What orders the recommendations of one answer: the sum of all contributions. No probability.",
    "rank": "Place among all that the model proposes, of every kind; 1 is the first.",
    "basis": "What the score was made from.",
    "history": "The score was made from the patient's own history.",
    "content": "The score was made from sex and age alone.",
    "popularity": "The score is how common the item is: nothing was known of the patient.",
    "contribution": "Part of the score that one item of the patient's history brings.",
    "trait": "Part of the score that sex, age or commonness brings.",
    "remainder": "Part of the score that the items which are not listed bring together.",
    "recommendation": "Proposal for a person to consider, made from like histories.",
}  # fmt: skip
"""Code -> definition, of the code system OWN."""


def coding(system: str, code: str, display: str | None = None) -> Element:
    """A Coding."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(*codings: Element, text: str | None = None) -> Element:
    """A CodeableConcept."""
    return ({"coding": list(codings)} if codings else {}) | ({"text": text} if text else {})


def own(code: str, text: str | None = None) -> Element:
    """A concept of our own code system; KeyError for a code that it has not."""
    return concept({"system": OWN, "code": code, "display": code.replace("-", " ").capitalize()},
                   text=text or OWN_CODES[code])


AIAST = coding(f"{HL7}/v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
PRESENT = coding(SNOMED, "52101004", "Present")
ABSENT = coding(SNOMED, "2667000", "Absent")
THORAX = concept(coding(SNOMED, "51185008", "Thoracic structure"))
POSITIVE = concept(coding(f"{HL7}/v3-ObservationInterpretation", "POS", "Positive"))
NEGATIVE = concept(coding(f"{HL7}/v3-ObservationInterpretation", "NEG", "Negative"))
IMAGING = concept(coding(f"{HL7}/observation-category", "imaging", "Imaging"))
IMAGE = concept(coding(f"{HL7}/media-type", "image", "Image"))
RADIOLOGY = concept(coding(f"{HL7}/v2-0074", "RAD", "Radiology"))
RADIOLOGY_STUDY = concept(coding(LOINC, "18782-3", "Radiology Study observation (narrative)"))
CREATED = concept(coding(f"{HL7}/v3-DataOperation", "CREATE", "create"))
AUTHOR = concept(coding(f"{HL7}/provenance-participant-type", "author", "Author"))
ARTIFICIAL_INTELLIGENCE = concept(coding(f"{TRANSPARENCY}/CodeSystem/AIdeviceTypeCS", "Artificial-Intelligence"))
DEEP_LEARNING = concept(coding(f"{TRANSPARENCY}/CodeSystem/AIdeviceTypeCS", "Deep-Learning-Models"))
MACHINE_LEARNING = concept(coding(f"{TRANSPARENCY}/CodeSystem/AIdeviceTypeCS", "Machine-Learning-Models"))

FINDINGS = {"pneumonia": concept(coding(SNOMED, "233604007", "Pneumonia"), text="Pneumonia on a chest radiograph")}
"""What a model's positive class is called in the record; a class that is not here goes by its text alone."""

DATA_ABSENT = {
    "not-performed": "Not Performed",
    "unsupported": "Unsupported",
    "error": "Error",
}
"""http://terminology.hl7.org/CodeSystem/data-absent-reason: judged not, cannot be read, cannot be decoded."""


def absent(code: str) -> Element:
    """The dataAbsentReason of a result that was not given."""
    return concept(coding(f"{HL7}/data-absent-reason", code, DATA_ABSENT[code]))


def finding(positive_class: str) -> Element:
    """The code of an Observation about a model's positive class."""
    return FINDINGS.get(positive_class) or concept(text=positive_class)


def quantity(value: float) -> Element:
    """A plain number as a Quantity of unit 1."""
    return {"value": round(value, 6), "unit": "1", "system": UCUM, "code": "1"}
