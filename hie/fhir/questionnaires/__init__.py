"""Whether the answers of a QuestionnaireResponse are those that its Questionnaire asks for.

https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from .form import Form
from .response import InValueSet, problems

__all__ = ["Form", "InValueSet", "problems"]
