"""What can go wrong between a foreign format and FHIR; each error carries the OperationOutcome issue code it becomes.

    AdapterError processing
    ├── WrongFormat invalid            the bytes are not of the format that they are declared to be
    ├── Damaged structure              cut short, inconsistent, or breaking the rules of their format
    ├── Unsupported not-supported      sound as far as can be seen, but of a kind that is not read here
    │   └── NoImage not-supported      a DICOM file that is no picture: a report, a waveform
    ├── TooCostly too-costly           larger, or slower to read, than the limits allow
    └── Occupied transient             nothing against the content: there is no room to read it at this moment

Issue codes: https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from typing import ClassVar


class AdapterError(Exception):
    """Foreign content that does not become FHIR; `diagnostics` is a sentence for its sender, free of patient data."""

    code: ClassVar[str] = "processing"

    def __init__(self, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics


class WrongFormat(AdapterError):
    """The bytes are of another format than declared, or of none that is known."""

    code = "invalid"


class Damaged(AdapterError):
    """The bytes break the rules of their own format, or end too early."""

    code = "structure"


class Unsupported(AdapterError):
    """A variant of the format, or a content, that this adapter does not read."""

    code = "not-supported"


class NoImage(Unsupported):
    """A sound file that holds no picture at all."""


class TooCostly(AdapterError):
    """Reading would take more memory or time than is allowed."""

    code = "too-costly"


class Occupied(AdapterError):
    """Others are read at this moment; the same content may be read later."""

    code = "transient"
