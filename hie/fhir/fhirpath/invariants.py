"""R4's invariants whose published FHIRPath does not say what their text says: https://hl7.org/fhir/R4/conformance-rules.html

An invariant is read as violated where its expression is false. Some expressions of R4 4.0.1 are false, or undecided,
on the wrong inputs; this table gives the expression to evaluate instead, and why.
"""

from __future__ import annotations

_CORRECTED = {
    # que-7: "If the operator is 'exists', the value must be a boolean". The values are of FHIR's type boolean, which
    # is not the Boolean of the language, so the published test could never hold.
    "operator = 'exists' implies (answer is Boolean)": "operator = 'exists' implies (answer is boolean)",
    # que-12: "If there are more than one enableWhen"; published as more than two.
    "enableWhen.count() > 2 implies enableBehavior.exists()": "enableWhen.count() > 1 implies enableBehavior.exists()",
    # vsd-9, que-13, sdf-1, opd-2, opd-3: without the optional element the published test is undecided where the text
    # says it fails.
    "code.exists() or abstract = true": "code.exists() or abstract.where($this = true).exists()",
    "repeats=true or initial.count() <= 1": "repeats.where($this = true).exists() or initial.count() <= 1",
    "derivation = 'constraint' or snapshot.element.select(path).isDistinct()": (
        "derivation.where($this = 'constraint').exists() or snapshot.element.select(path).isDistinct()"
    ),
    "searchType.exists() implies type = 'string'": "searchType.exists() implies type.where($this = 'string').exists()",
    "targetProfile.exists() implies (type = 'Reference' or type = 'canonical')": (
        "targetProfile.exists() implies type.where($this = 'Reference' or $this = 'canonical').exists()"
    ),
    # bdl-11, bdl-12: a document or message without any entry has no first one of the right type.
    "type = 'document' implies entry.first().resource.is(Composition)": (
        "type = 'document' implies entry.first().resource.ofType(Composition).exists()"
    ),
    "type = 'message' implies entry.first().resource.is(MessageHeader)": (
        "type = 'message' implies entry.first().resource.ofType(MessageHeader).exists()"
    ),
    # drt-1, ras-1: a unit without system is no UCUM unit; undecided as published.
    "code.exists() implies ((system = %ucum) and value.exists())": (
        "code.exists() implies (system.where($this = %ucum).exists() and value.exists())"
    ),
    (
        "(low.empty() or ((low.code = '%') and (low.system = %ucum))) and "
        "(high.empty() or ((high.code = '%') and (high.system = %ucum)))"
    ): (
        "(low.empty() or low.where(code = '%' and system = %ucum).exists()) and "
        "(high.empty() or high.where(code = '%' and system = %ucum).exists())"
    ),
}


def corrected(expression: str) -> str:
    """Give the expression to evaluate for one published in an invariant of R4: itself, or what its text means."""
    return _CORRECTED.get(expression, expression)
