"""One request's transaction: done, judged, committed with its audit record, again after a neighbour's write (D7b).

Or taken back, where it is only asked whether it could be committed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from hie.errors import BrokenReference, Referenced
from hie.store import looking, referring, waiting
from hie.store.conflicts import WRITE_ATTEMPTS, Again, contended, retry_pause, retryable
from hie.store.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

T = TypeVar("T")

#: So many resources that refer to a deleted one are asked for at once.
_AT_ONCE = 500


def run(store: ResourceStore, work: Callable[[ResourceStore], T], *, is_last: bool) -> T:
    """Run `work` in one transaction and commit it; after a conflict with a neighbour it runs again.

    It runs first by what is remembered of a resource that it changes (hie.store.recent), if anything is: whatever else
    comes of it than that all is committed, it runs again as if nothing were.
    """
    recalls = _may_be_one_message(store)
    attempt = 0
    while True:
        unit = UnitOfWork(store.database, store.keys, store.clock, store.base_url, reads_ahead=attempt == 0)
        unit.recalls, unit.is_admin = recalls, store.grant.admin
        try:
            return _committed(store, unit, work, attempt, is_last=is_last)
        except BaseException as error:
            unit.rollback()
            if unit.recalled and (isinstance(error, Again) or (isinstance(error, Exception) and not unit.is_sent)):
                recalls = False
                continue
            if not retryable(error):
                raise
            if attempt == WRITE_ATTEMPTS - 1:
                raise contended() from error
            store.keys.turns.met(error)
            retry_pause(attempt)
            attempt, recalls = attempt + 1, False


def _committed(
    store: ResourceStore, unit: UnitOfWork, work: Callable[[ResourceStore], T], attempt: int, *, is_last: bool
) -> T:
    """Run `work` once and commit it."""
    result = work(store.within(unit))
    if unit.new_references:
        referring.judge(store, unit)
    unit.remember()
    if _may_be_one_message(store) and _is_committed_at_once(store, unit, result, is_last):
        return result
    if unit.recalled:
        raise Again("What was remembered is not what there is, or cannot be told by it.")
    _finish(store, unit)
    if unit.looked:
        looking.see_that_none_came(store.within(unit), unit, attempt)
    store.note(unit, result)
    if is_last:
        waiting.let_go()
    unit.commit(store.entry)
    return result


def rehearse(store: ResourceStore, work: Callable[[ResourceStore], object]) -> None:
    """Run `work` in a transaction that is judged and taken back; it raises what a commit would be refused by."""
    for attempt in range(WRITE_ATTEMPTS):
        unit = UnitOfWork(store.database, store.keys, store.clock, store.base_url, reads_ahead=attempt == 0)
        unit.is_admin = store.grant.admin
        try:
            work(store.within(unit))
            if unit.new_references:
                referring.judge(store, unit)
            _finish(store, unit)
            return
        except BaseException as error:
            if not retryable(error):
                raise
            if attempt == WRITE_ATTEMPTS - 1:
                raise contended() from error
        finally:
            unit.rollback()
        retry_pause(attempt)


def _may_be_one_message(store: ResourceStore) -> bool:
    """Tell whether one message to PostgreSQL may hold all; it has no place for an answer that is kept."""
    return store.database.dialect == "postgresql" and not store.keeps_answer


def _is_committed_at_once(store: ResourceStore, unit: UnitOfWork, result: object, is_last: bool) -> bool:
    """Commit at once what one message can hold; where that is not to be, the audit record is as it was."""
    entry, done = store.entry, False
    asked = entry.status, entry.type, entry.id, entry.patient, entry.touched
    store.note(unit, result)
    try:
        done = unit.commit_at_once(entry, is_last)
    finally:
        if not done:
            entry.status, entry.type, entry.id, entry.patient, entry.touched = asked
    return done


def _finish(store: ResourceStore, unit: UnitOfWork) -> None:
    """Check what was written; who refers to the deleted is told only to whom may read that."""
    try:
        unit.finish()
    except Referenced as error:
        raise _by_shown(store.within(unit), error) from None
    except BrokenReference as error:
        raise _without_versions(store, error, unit) from None


def _by_shown(store: ResourceStore, error: Referenced) -> Referenced:
    """Return the error so that it names the first that the token may read, and nothing of others."""
    for start in range(0, len(error.by), _AT_ONCE):
        some = error.by[start : start + _AT_ONCE]
        shown = store.read_many(some)
        if shown:
            return Referenced.of(error.place, error.by, next(one for one in some if one in shown))
    return Referenced.of(error.place, error.by, None)


def _without_versions(store: ResourceStore, error: BrokenReference, unit: UnitOfWork) -> BrokenReference:
    """Return the error without the number of versions where the token may not read what has them."""
    issue = error.issues[0]
    place, slash, _ = (issue.target or "").partition("/_history/")
    type_name, _, id_ = place.partition("/")
    if not slash or store.within(unit).read_many([(type_name, id_)]):
        return error
    told = f"{issue.source} refers to {issue.target}, which is not known here."
    return BrokenReference(told, issues=[replace(issue, diagnostics=told)])
