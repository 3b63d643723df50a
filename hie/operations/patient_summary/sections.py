"""The sections of an International Patient Summary, and which searches find what stands in each.

https://hl7.org/fhir/uv/ips/STU1.1/StructureDefinition-Composition-uv-ips.html; docs/api/operations.md tells the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_SNOMED = "http://snomed.info/sct"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_CONSENT = "http://terminology.hl7.org/CodeSystem/consentcategorycodes"
_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
_DIAGNOSTICS = "http://terminology.hl7.org/CodeSystem/v2-0074"

#: A result that nobody has confirmed yet is none that a summary tells; so it is with what models find.
_CONFIRMED = ("status", "final,amended,corrected")
_REPORTED = ("status", "final,amended,corrected,appended")
_CERTAIN = ("verification-status:not", "entered-in-error,refuted")
#: R4's LOINC codes of tobacco smoking status and alcoholic drinks, and of pregnancy: its status, estimated dates of
#: delivery, and outcomes of earlier ones; IPS' value sets of the same.
_HABITS = ("72166-2", "74013-4")
_PREGNANCY = ("82810-3", "11778-8", "11779-6", "11780-4", "11636-8", "11637-6", "11638-4", "11639-2", "11640-0",
              "11612-9", "11613-7", "11614-5", "33065-4")  # fmt: skip
#: Functional performance and cognitive function, as the types of problems are called in LOINC and in SNOMED CT.
_FUNCTIONING = f"{LOINC}|75324-4,{LOINC}|75319-4,{_SNOMED}|248536006,{_SNOMED}|373930000"
_OVER = "inactive,remission,resolved"


def _always(resource: Json) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Source:
    """What may stand in a section: matches of a search, the newest first, that `keeps` lets through."""

    type: str
    criteria: tuple[tuple[str, str], ...]
    sort: str = "-date"
    keeps: Callable[[Json], bool] = _always


@dataclass(frozen=True, slots=True)
class NoInformation:
    """The entry of a section that IPS wants and for which nothing was found: a code that claims no absence."""

    type: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its LOINC code, and the searches behind it."""

    title: str
    code: str
    display: str
    sources: tuple[Source, ...]
    is_latest: bool = False
    """Of several with one code, only the most recent stands in it."""
    is_profiled: bool = False
    """IPS wants one entry of it by its own profile."""
    nothing: NoInformation | None = None
    """None: the section stands in the summary only where there is something in it."""


def _tokens(system: str, codes: str | tuple[str, ...]) -> str:
    named = codes.split(",") if isinstance(codes, str) else codes
    return ",".join(f"{system}|{code}" for code in named)


def _either(*pairs: tuple[str, str]) -> str:
    """Return the _filter of what has one of some tokens."""
    return " or ".join(f"{name} eq {token}" for name, tokens in pairs for token in tokens.split(","))


def _is_prescribed(request: Json) -> bool:
    return request.get("doNotPerform") is not True


def _is_used(statement: Json) -> bool:
    return statement.get("status") not in ("entered-in-error", "intended")


SECTIONS = (
    Section(
        "Medication Summary", "10160-0", "History of Medication use Narrative",
        (Source("MedicationStatement", (("status", "active,intended,on-hold,unknown"),), "-effective"),
         Source("MedicationRequest", (("status", "active,on-hold"), ("intent:not", "proposal,plan,option")),
                "-authoredon", _is_prescribed),
         Source("MedicationAdministration", (("status", "in-progress,on-hold"),), "-effective-time"),
         Source("MedicationDispense", (("status", "in-progress,on-hold"),), "-whenhandedover")),
        nothing=NoInformation("MedicationStatement", "no-medication-info", "No information about medications")),
    Section(
        "Allergies and Intolerances", "48765-2", "Allergies and adverse reactions Document",
        (Source("AllergyIntolerance", (("clinical-status:not", "inactive,resolved"), _CERTAIN)),),
        nothing=NoInformation("AllergyIntolerance", "no-allergy-info", "No information about allergies")),
    Section(
        "Problem List", "11450-4", "Problem list - Reported",
        (Source("Condition", (("clinical-status:not", _OVER), _CERTAIN), "-recorded-date"),),
        is_profiled=True,
        nothing=NoInformation("Condition", "no-problem-info", "No information about problems")),
    Section(
        "History of Procedures", "47519-4", "History of Procedures Document",
        (Source("Procedure", (("status", "completed,in-progress,on-hold,stopped"),)),),
        is_profiled=True),
    Section(
        "Immunizations", "11369-6", "History of Immunization Narrative",
        (Source("Immunization", (("status", "completed"),)),),
        is_profiled=True),
    Section(
        "Medical Devices", "46264-8", "History of medical device use",
        (Source("DeviceUseStatement", (), "-_lastUpdated", _is_used),
         Source("Device", (("status:not", "inactive,entered-in-error,unknown"),), "-_lastUpdated")),
        is_profiled=True),
    Section(
        "Diagnostic Results", "30954-2", "Relevant diagnostic tests/laboratory data Narrative",
        (Source("Observation", (("category", _tokens(_CATEGORY, "laboratory,imaging")), _CONFIRMED)),
         Source("DiagnosticReport", (("category", f"{_DIAGNOSTICS}|,{_tokens(LOINC, 'LP7839-6,LP29684-5,LP29708-2')}"),
                                     _REPORTED))),
        is_latest=True),
    Section(
        "Vital Signs", "8716-3", "Vital signs",
        (Source("Observation", (("category", _tokens(_CATEGORY, "vital-signs")), _CONFIRMED)),),
        is_latest=True),
    Section(
        "History of Past Illness", "11348-0", "History of Past illness Narrative",
        (Source("Condition", (("clinical-status", _OVER), _CERTAIN), "-recorded-date"),),
        is_profiled=True),
    Section(
        "Functional Status", "47420-5", "Functional status assessment note",
        (Source("ClinicalImpression", (("status", "completed"),)),
         Source("Condition", (("category", _FUNCTIONING), ("clinical-status:not", _OVER), _CERTAIN),
                "-recorded-date"))),
    Section(
        "Plan of Care", "18776-5", "Plan of care note",
        (Source("CarePlan", (("status", "active,on-hold"), ("intent:not", "proposal,option"))),)),
    Section(
        "Social History", "29762-2", "Social history Narrative",
        (Source("Observation", (("_filter", _either(("category", _tokens(_CATEGORY, "social-history")),
                                                    ("code", _tokens(LOINC, _HABITS)))),
                                ("code:not", _tokens(LOINC, _PREGNANCY)), _CONFIRMED)),),
        is_latest=True),
    Section(
        "History of Pregnancy", "10162-6", "History of pregnancies Narrative",
        (Source("Observation", (("code", _tokens(LOINC, _PREGNANCY)), _CONFIRMED)),),
        is_latest=True),
    Section(
        "Advance Directives", "42348-3", "Advance directives",
        (Source("Consent", (("_filter", _either(("scope", _tokens(_SCOPE, "adr")),
                                                ("category", _tokens(_CONSENT, "acd,dnr,emrgonly,hcd")),
                                                ("category", _tokens(LOINC, "42348-3")))),
                            ("status", "active"))),)),
)  # fmt: skip
