"""Whether the answers of a QuestionnaireResponse are those that its Questionnaire asks for.

https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from .response import InValueSet, problems

__all__ = ["InValueSet", "problems"]
