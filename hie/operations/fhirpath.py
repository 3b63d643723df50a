"""$fhirpath: evaluate an expression on a resource: https://hl7.org/fhir/R4/fhirpath.html

Input and answer are those of the engines behind fhirpath-lab, so that it can be pointed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotSupported, TooCostly, Unprocessable
from hie.fhir import fhirpath as engine
from hie.fhir import json_format
from hie.fhir.fhirpath import answers, model
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.resource import type_of
from hie.interactions.accepting import conforming
from hie.registry import Operation, Parameter

MAX_EXPRESSION = 10_000
MAX_SECONDS = 2.0
MAX_HANDLED = 500_000
MAX_RESULTS = 2_000
MAX_ANSWER = 5 * 1024 * 1024

Row = dict[str, Any]


def fhirpath(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Evaluate `expression` on the resource sent or named, for each item of `context` where one is given."""
    expression, context = _text(request, "expression") or "", _text(request, "context")
    subject = _subject(request, ctx)
    traces: list[Row] = []
    watch = engine.Watch(
        MAX_SECONDS, MAX_HANDLED, lambda *told: traces.append(_traced(*told)), allowance=ctx.allowance)
    strict = request.parameter("validate") == "true"
    evaluation = _Evaluation(subject, _variables(request), watch, strict, conforming(subject, ctx))
    focuses: list[engine.Element | None] = [None]
    if context is not None:
        focuses = list(evaluation.items(context, None, "context"))
    results = []
    for at, focus in enumerate(focuses):
        found = evaluation.items(expression, focus, "expression")
        result: Row = {"name": "result", "part": [*_parts(found), *traces]}
        if context is not None:
            result["valueString"] = f"{context}[{at}]"
        results.append(result if result["part"] else {**result, "part": [_note("empty", "true")]})
        traces.clear()
        if sum(len(one["part"]) for one in results) > MAX_RESULTS:
            raise TooCostly(f"The expression has more than {MAX_RESULTS} results.", expression="expression")
    return _answer([_told(expression, context), *results])


class _Evaluation:
    """What one request's expressions share: the resource, the variables and what is left of time."""

    def __init__(
        self, subject: Row | None, variables: Row, watch: engine.Watch, strict: bool, conforms: engine.Conforms
    ) -> None:
        self.subject, self.variables, self.watch, self.strict = subject, variables, watch, strict
        self.conforms = conforms

    def items(self, expression: str, focus: engine.Element | None, name: str) -> list[engine.Element]:
        """Evaluate on an item of the context, or on the resource; what goes wrong names the parameter."""
        subject = self.subject
        kind = focus.type if focus is not None else str(subject["resourceType"]) if subject else "Resource"
        value: Any = subject if subject is not None else engine.NOTHING
        if focus is not None:
            value = focus.value if type(focus.value) is dict else focus
        try:
            compiled = engine.compile_once(expression, kind, strict=self.strict, profiles=True)
            return compiled.items(
                value, resource=subject, root_resource=subject, variables=self.variables, watch=self.watch,
                conforms=self.conforms,
            )
        except (engine.FhirPathSyntaxError, engine.FhirPathSemanticError) as error:
            raise InvalidRequest(str(error), expression=name) from None
        except engine.FhirPathUnsupported as error:
            raise NotSupported(str(error), expression=name) from None
        except FhirPathLimit as error:
            raise TooCostly(str(error), expression=name) from None
        except engine.FhirPathError as error:
            raise Unprocessable(str(error), expression=name) from None


# ---- what is asked ---------------------------------------------------------------------------------------------------


def _text(request: FhirRequest, name: str) -> str | None:
    text = request.parameter(name)
    if text is not None and len(text) > MAX_EXPRESSION:
        raise InvalidRequest(f"{name} has {len(text)} characters; at most {MAX_EXPRESSION} are evaluated.",
                             expression=name)
    return text


def _subject(request: FhirRequest, ctx: Context) -> Row | None:
    """Return the resource sent, or else the one that the URL names; None where there is neither."""
    if request.resource is not None:
        found = type_of(request.resource, "resource")
        if request.type is not None and found != request.type:
            raise InvalidRequest(f"The URL says {request.type}, the resource is of type {found}.",
                                 expression="resourceType")
        return dict(request.resource)
    if request.id is None:
        return None
    resource: Row = json_format.parse(ctx.store.read(request.type or "", request.id).content or b"{}")
    return resource


def _variables(request: FhirRequest) -> Row:
    """Read `variables`: each part is one, with its name and value."""
    found: Row = {}
    for name, parts in request.arguments:
        if name != "variables":
            continue
        for row in parts:
            found.setdefault(row["name"], []).extend(_variable(row))
    return found


def _variable(row: Row) -> Iterable[engine.Element]:
    if "resource" in row:
        yield engine.Element(row["resource"], type_of(row["resource"], "variables"))
    for property_, type_name in model.children("Parameters.parameter")["value"].forms:
        if property_ in row:
            yield engine.Element(row[property_], type_name, row.get("_" + property_))


# ---- what is answered ------------------------------------------------------------------------------------------------


def _told(expression: str, context: str | None) -> Row:
    asked = [_note("evaluator", "hie (FHIRPath 2.0.0, R4)"), _note("expression", expression)]
    return {"name": "parameters", "part": asked if context is None else [*asked, _note("context", context)]}


def _note(name: str, text: str) -> Row:
    return {"name": name, "valueString": text}


def _parts(items: list[engine.Element]) -> list[Row]:
    if len(items) > MAX_RESULTS:
        raise TooCostly(f"The expression has {len(items)} results; at most {MAX_RESULTS} are answered.",
                        expression="expression")
    return [answers.part(item) for item in items]


def _traced(name: str, items: list[Any], own: str | None) -> Row:
    typed = engine.typed(items[:MAX_RESULTS], own)
    row: Row = {"name": "trace", "valueString": name or "trace"}
    return {**row, "part": [answers.part(item) for item in typed]} if typed else row


def _answer(rows: list[Row]) -> FhirResponse:
    content = json_format.dump({"resourceType": "Parameters", "parameter": rows})
    if len(content) > MAX_ANSWER:
        raise TooCostly(f"The answer would have {len(content)} bytes; at most {MAX_ANSWER} are sent.",
                        expression="expression")
    return FhirResponse(200, content)


OPERATION = Operation(
    code="fhirpath",
    levels=frozenset({"system", "type", "instance"}),
    function=fhirpath,
    definition="http://fhirpath-lab.com/fhir/OperationDefinition/fhirpath",
    parameters=(
        Parameter("expression", "string", min=1, documentation="What is evaluated."),
        Parameter("context", "string", documentation="An expression: `expression` is evaluated for each of its items."),
        Parameter("resource", "Resource", documentation="The resource that is meant, which need not be valid; without "
                  "it that of the URL, or none."),
        Parameter("variables", "", max="*", documentation="Variables of the expressions.", parts=(
            Parameter("variable", "Element", max="*", documentation="Each part is a variable and has its name: "
                      "%name has its values, which may be resources too."),)),
        Parameter("validate", "boolean", documentation="true: names and types are checked before anything is "
                  "evaluated."),
    ),
    returns=(
        Parameter("parameters", "", 1, documentation="What was asked.", parts=(
            Parameter("evaluator", "string", 1, documentation="The engine."),
            Parameter("expression", "string", 1, documentation="The expression."),
            Parameter("context", "string", documentation="The context, where one was given."),
        )),
        Parameter("result", "", max="*", documentation="The result, or that for one item of the context.", parts=(
            Parameter("item", "Element", max="*", documentation="Each part is an item, and named by its type; `empty` "
                      "where there is none."),
            Parameter("trace", "string", max="*", documentation="What trace() was given: its name, and as parts the "
                      "items."),
        )),
    ),
    documentation="Evaluates a FHIRPath expression on a resource that is sent or stored, or on nothing.",
)
