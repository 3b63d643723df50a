"""The parts a parsed FHIRPath expression is made of: https://hl7.org/fhirpath/N1/#grammar"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the expression; `type` is one of the System types without their prefix."""

    value: object
    type: str


@dataclass(frozen=True, slots=True)
class QuantityLiteral:
    """A number with a unit: `4 days`, `4.5 'mg'`."""

    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class Empty:
    """The empty collection `{}`."""


@dataclass(frozen=True, slots=True)
class This:
    """The focus: `$this`, or what an expression starts from when nothing is written."""


@dataclass(frozen=True, slots=True)
class Index:
    """`$index`: the place of the item in the collection a function walks over."""


@dataclass(frozen=True, slots=True)
class Total:
    """`$total`: what aggregate() has gathered so far."""


@dataclass(frozen=True, slots=True)
class Constant:
    """An environment variable: `%resource`."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`base.name`; a base of None is the start of a path, where a name may also be a type."""

    base: Expression | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`base.name(arguments)`."""

    base: Expression | None
    name: str
    arguments: tuple[Expression, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Indexer:
    """`base[index]`."""

    base: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Sign:
    """A unary plus or minus."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Operation:
    """A binary operator between two expressions."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`operand is Type` or `operand as Type`; the type keeps its qualifier."""

    operator: str
    operand: Expression
    type: str


Expression = (
    Literal
    | QuantityLiteral
    | Empty
    | This
    | Index
    | Total
    | Constant
    | Member
    | Call
    | Indexer
    | Sign
    | Operation
    | TypeTest
)
