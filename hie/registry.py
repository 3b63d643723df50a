"""What the server can be taught: operations, triggers, kinds of jobs, models.

Built-in ones stand in the explicit tuples of `built_in`; those of other packages come from the entry-point groups
hie.operations, hie.triggers, hie.jobs and hie.models. Two with one name stop the start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from hie.errors import Busy
from hie.fhir import facts

if TYPE_CHECKING:
    from hie.context import Context
    from hie.fhir.http import FhirRequest, FhirResponse
    from hie.interactions.bulk_export import Export
    from hie.settings import Settings
    from hie.store.versions import StoredVersion

LEVELS = frozenset({"system", "type", "instance", "version"})
_ADDRESSES = {"system": "the system", "type": "{}", "instance": "{}/[id]", "version": "{}/[id]/_history/[vid]"}


class RegistryError(RuntimeError):
    """Plug-ins that cannot work together, or one that is no plug-in at all."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: https://hl7.org/fhir/R4/operationdefinition-definitions.html#OperationDefinition.parameter"""

    name: str
    type: str
    min: int = 0
    max: str = "1"
    is_token: bool = False
    """A Coding or an Identifier that a URL or a form may give as well, as a search has it: `system|code`."""
    documentation: str = ""
    """What it says, in a sentence or two of markdown: for the OperationDefinition."""
    parts: tuple[Parameter, ...] = ()
    """Of one without a type: what it consists of."""
    search_type: str | None = None
    """Of a string: the type of search parameter as which it is understood."""
    binding: tuple[str, str] | None = None
    """Strength and value set of its codes."""
    refused: str | None = None
    """Why it is not taken here, though a standard has it: who gives it is refused with this reason."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: https://hl7.org/fhir/R4/operations.html

    `types` None: every type. `function` gets a request whose `parameters` and `resource` were checked against
    `parameters`, wherever the client wrote them. GET is allowed where the operation does not affect state.
    """

    code: str
    levels: frozenset[str]
    function: Callable[[FhirRequest, Context], FhirResponse]
    definition: str | None = None
    """The canonical URL of the OperationDefinition of a standard that it follows; None: it is this server's own."""
    types: frozenset[str] | None = None
    parameters: tuple[Parameter, ...] = ()
    returns: tuple[Parameter, ...] = ()
    """What it answers with: one named `return` is the answer itself, others stand in a Parameters."""
    documentation: str = ""
    """What it does, in a few sentences of markdown: for the OperationDefinition."""
    affects_state: bool = False
    is_done_once: bool = False
    """A worker does not do again what another left half done: it may have stored something that would be there twice.
    So it is with all that affect state."""
    writes: Callable[[FhirRequest], bool] | None = None
    """Where only some requests for it affect state: tells of one whether it does."""
    stores_by_post: bool = False
    """POST may store something, GET never does: a function that tells them apart."""
    hands_on_provenance: bool = False
    """What it stores it stores by interactions, to which it hands on the header X-Provenance."""
    takes_search: frozenset[str] = frozenset()
    """Of one that takes search parameters beside its own, and reads all of them itself: which of those that say how a
    search is done or answered (hie.fhir.capability.CONTROLS) it takes."""
    takes_body: frozenset[str] = frozenset()
    """Media types of bodies that the function reads itself, with its parameters."""
    tells_of_body: bool = False
    """What a body in XML has that is no FHIR it tells, as of JSON; others refuse such a body."""
    conditions: frozenset[str] = frozenset()
    """The conditions of a request that the function asks, named as in Conditions; others are refused."""
    also: tuple[str, ...] = ()
    """Definitions of the same operation beside `definition`, as several guides have one."""
    answers_in: str = "application/fhir+json"
    """The media type of its answers: that of resources, which are written as XML too, or one of its own."""
    files: Callable[[FhirRequest, Context], Export] | None = None
    """It is answered later alone, by bulk files: checks what is asked, and returns what stands in them."""

    def __post_init__(self) -> None:
        if not self.levels or not self.levels <= LEVELS:
            raise RegistryError(f"Operation ${self.code} names levels {set(self.levels)}; known are {set(LEVELS)}.")

    @property
    def canonicals(self) -> tuple[str, ...]:
        """The canonical URLs of the standards' definitions that it follows."""
        return (*(() if self.definition is None else (self.definition,)), *self.also)

    def offered(self, type_name: str | None, instance: bool, version: bool = False) -> bool:
        """Tell whether the operation can be called on this level of this type (None: the system)."""
        if type_name is None:
            return "system" in self.levels
        level = "version" if version else "instance" if instance else "type"
        return level in self.levels and (self.types is None or type_name in self.types)


@dataclass(frozen=True, slots=True)
class Trigger:
    """What follows the writing of a resource, inside its transaction; `wanted` decides by the resource alone."""

    name: str
    type: str
    wanted: Callable[[dict[str, Any]], bool]
    function: Callable[[StoredVersion, dict[str, Any], Context], None]


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a worker does with the jobs of one kind; `gave_up` is told the reason when a job has failed for good.

    `owners` tells of several jobs whose each is, by their payloads: owners take turns.
    """

    code: str
    function: Callable[[dict[str, Any], Context], None]
    gave_up: Callable[[dict[str, Any], str, Context], None] | None = None
    owners: Callable[[list[dict[str, Any]], Context], list[str]] | None = None


Loader = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A model that operations and jobs may ask for; it is loaded once in a process, at the first use.

    `versions` tells how each version at hand is loaded, the shipped one first; None where there is only one, `load`.
    """

    name: str
    load: Callable[[Settings], Any]
    versions: Callable[[Settings], Mapping[str, Loader]] | None = None


class Models:
    """The models of this process by name: of each the version that `active` names, loaded at its first use."""

    def __init__(
        self, models: Iterable[Model], settings: Settings, active: Callable[[str], str | None] = lambda name: None
    ) -> None:
        self._models = {model.name: model for model in models}
        self._settings, self._active = settings, active
        self._loaded: dict[str, tuple[str | None, Any]] = {}
        self._locks = {name: threading.Lock() for name in self._models}

    def __getitem__(self, name: str) -> Any:
        model = self._models[name]
        wanted = self._active(name) if model.versions is not None else None
        loaded = self._loaded.get(name)
        if loaded is None or loaded[0] != wanted:
            with self._locks[name]:
                loaded = self._loaded.get(name)
                if loaded is None or loaded[0] != wanted:
                    loaded = self._loaded[name] = (wanted, self._load(model, wanted))
        return loaded[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def at_hand(self) -> dict[str, tuple[str, ...]]:
        """Return the versions of every model that has several, the shipped one first."""
        return {name: tuple(model.versions(self._settings))
                for name, model in self._models.items() if model.versions is not None}

    def _load(self, model: Model, wanted: str | None) -> Any:
        if wanted is None or model.versions is None:
            return model.load(self._settings)
        loader = model.versions(self._settings).get(wanted)
        if loader is None:
            raise Busy(f"Version {wanted} of model {model.name} is active and not at hand here.")
        return loader()


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything above, each found by its name."""

    operations: tuple[Operation, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    jobs: tuple[JobKind, ...] = ()
    models: tuple[Model, ...] = ()
    _triggers_of: dict[str, tuple[Trigger, ...]] = field(init=False, repr=False, default_factory=dict)
    _operations_of: dict[str, tuple[Operation, ...]] = field(init=False, repr=False, default_factory=dict)
    _job_of: dict[str, JobKind] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        _refuse_twins("trigger", (one.name for one in self.triggers))
        _refuse_twins("job kind", (one.code for one in self.jobs))
        _refuse_twins("model", (one.name for one in self.models))
        for operation in self.operations:
            self._operations_of[operation.code] = (*self._operations_of.get(operation.code, ()), operation)
        for code, operations in self._operations_of.items():
            _refuse_twins(f"operation ${code} for", (t for one in operations for t in one.types or ("every type",)))
        for trigger in self.triggers:
            self._triggers_of[trigger.type] = (*self._triggers_of.get(trigger.type, ()), trigger)
        self._job_of.update((one.code, one) for one in self.jobs)

    def operation(self, code: str, type_name: str | None) -> Operation | None:
        """Return the operation of that name for the type; one that names its types goes before one that does not.

        Of the system (None) one that can be called there goes before others.
        """
        found = None
        for operation in self._operations_of.get(code, ()):
            if operation.types is not None and type_name in operation.types:
                return operation
            if type_name is None and "system" in operation.levels:
                return operation
            if operation.types is None or type_name is None:
                found = operation
        return found

    def places(self, code: str, type_name: str | None) -> list[str]:
        """Name the addresses at which the operations of that name can be called: of the type, where it has one."""
        there = self._operations_of.get(code, ())
        of_type = [one for one in there if one.types is None or type_name in one.types]
        found: set[str] = set()
        for one in of_type or there:
            types = sorted(one.types) if one.types is not None else ["[type]"]
            shown = [type_name] if type_name in types and type_name is not None else types
            found.update(_ADDRESSES[level].format(each) for level in one.levels for each in shown)
        return sorted(found)

    def job(self, code: str) -> JobKind | None:
        """Return the kind of job of that name; None for one that this server does not know."""
        return self._job_of.get(code)

    def after_write(self, stored: StoredVersion, resource: dict[str, Any], ctx: Context) -> None:
        """Run what follows the writing of a resource; `ctx` is inside the transaction."""
        for trigger in self._triggers_of.get(stored.type, ()):
            if trigger.wanted(resource):
                trigger.function(stored, resource, ctx)


Texts = Mapping[str, str]
"""What parameters say, by their names; of parts `parameter.part`."""


def standard_parameters(
    key: str, told: Texts, refused: Texts | None = None, required: frozenset[str] = frozenset()
) -> tuple[Parameter, ...]:
    """Return the input parameters of one of R4's own operations, named as in `everything@Patient`.

    `told`: what they say here; `refused`: why some are not taken. All of them have one of the two. `required`: parts
    that have to be there, though R4 lets them be left out.
    """
    return _standard(key, "in", told, refused or {}, required)


def standard_returns(key: str, told: Texts) -> tuple[Parameter, ...]:
    """Return the output parameters of one of R4's own operations; `told`: what they say here. Parts of which nothing is
    told are never answered.
    """
    return _standard(key, "out", told, {}, frozenset())


def _standard(key: str, use: str, told: Texts, refused: Texts, required: frozenset[str]) -> tuple[Parameter, ...]:
    rows = [row for row in facts.OPERATIONS[key]["parameter"] if row["use"] == use]
    found = tuple(_parameter(row, row["name"], told, refused, required) for row in rows)
    names = {one.name for one in found} | {name for row in rows for name in _names_of_parts(row, row["name"])}
    if unknown := (told.keys() | refused.keys() | required) - names:
        raise RegistryError(f"{key} has no parameters {', '.join(sorted(unknown))}.")
    if untold := [one.name for one in found if not one.documentation]:
        raise RegistryError(f"Nothing is told of {', '.join(untold)} of {key}.")
    return found


def _parameter(
    row: dict[str, Any], name: str, told: Texts, refused: Texts, required: frozenset[str]
) -> Parameter:
    parts = tuple(_parameter(one, f"{name}.{one['name']}", told, refused, required) for one in row.get("part", ())
                  if one["use"] == "in" or f"{name}.{one['name']}" in told)
    binding = (row["binding"]["strength"], row["binding"]["valueSet"]) if "binding" in row else None
    return Parameter(row["name"], row.get("type", ""), 1 if name in required else row["min"], row["max"],
                     documentation=told.get(name, refused.get(name, "")), parts=parts,
                     search_type=row.get("searchType"), binding=binding, refused=refused.get(name))


def _names_of_parts(row: dict[str, Any], name: str) -> Iterator[str]:
    for part in row.get("part", ()):
        yield f"{name}.{part['name']}"
        yield from _names_of_parts(part, f"{name}.{part['name']}")


@cache
def built_in() -> Registry:
    """Return what this package itself brings, joined once for all applications of a process."""
    from hie.jobs import JOB_KINDS, TRIGGERS
    from hie.models import MODELS
    from hie.operations import (
        convert,
        diagnose,
        diff,
        docref,
        document,
        everything,
        explain,
        export,
        fhirpath,
        graph,
        graphql,
        group_everything,
        lastn,
        list_find,
        match,
        meta,
        patient_summary,
        preferred_id,
        recommend,
        reindex,
        snapshot,
        statements,
        stats,
        terminology,
        validate,
        versions,
    )

    operations = (
        *everything.OPERATIONS,
        group_everything.OPERATION,
        convert.OPERATION,
        diff.OPERATION,
        docref.OPERATION,
        document.OPERATION,
        versions.OPERATION,
        snapshot.OPERATION,
        *statements.OPERATIONS,
        patient_summary.OPERATION,
        preferred_id.OPERATION,
        explain.OPERATION,
        *export.OPERATIONS,
        lastn.OPERATION,
        list_find.OPERATION,
        match.OPERATION,
        stats.OPERATION,
        validate.OPERATION,
        fhirpath.OPERATION,
        graph.OPERATION,
        graphql.OPERATION,
        diagnose.OPERATION,
        recommend.OPERATION,
        reindex.OPERATION,
        *terminology.OPERATIONS,
        *meta.OPERATIONS,
    )
    return Registry(operations, TRIGGERS, JOB_KINDS, MODELS)


def with_plugins(registry: Registry) -> Registry:
    """Add what other installed packages bring."""
    operations, triggers = _entry_points("hie.operations", Operation), _entry_points("hie.triggers", Trigger)
    jobs, models = _entry_points("hie.jobs", JobKind), _entry_points("hie.models", Model)
    if not operations + triggers + jobs + models:
        return registry
    return Registry(registry.operations + operations, registry.triggers + triggers, registry.jobs + jobs,
                    registry.models + models)  # fmt: skip


_T = TypeVar("_T")


def _entry_points(group: str, kind: type[_T]) -> tuple[_T, ...]:
    found = []
    for point in _installed(group):
        plugin = point.load()
        if not isinstance(plugin, kind):
            raise RegistryError(f"Entry point {point.name} of {group} is no {kind.__name__}.")
        found.append(plugin)
    return tuple(found)


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    """Return what installed packages bring, read once: that takes as long as all else of joining the parts."""
    return tuple(sorted(entry_points(group=group), key=lambda one: one.name))


def _refuse_twins(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RegistryError(f"Two plug-ins bring the {what} {name!r}.")
        seen.add(name)
