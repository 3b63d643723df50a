"""Stores as an earlier version of the server left them: without the tables, columns and rows that came later."""

from __future__ import annotations

from sqlalchemy import inspect, text

from hie.settings import Settings
from hie.store.check import check
from hie.store.resources import ResourceStore
from hie.store.schema import HEAD
from hie.store.search import query
from hie.store.store import Store
from tests.builders import observation, patient
from tests.machine_steps import bound

#: The tables that each revision added: a store from before it has none of them.
ADDED = {
    "0002": ("reference_index", "reindexing"),
    "0003": ("async_request",),
    "0004": ("custom_parameter", "custom_version", "index_run"),
    "0005": ("package", "profile_validation"),
    "0006": ("index_setting",),
    "0007": ("past_version", "token_past", "date_past", "number_past"),
    "0008": (),
    "0009": ("contained", "contained_token", "contained_date", "contained_number"),
    "0010": (),
    "0011": (),
    "0012": (),
    "0013": (),
    "0014": (),
    "0015": ("write_count",),
    "0016": (),
    "0017": (),
    "0018": ("closure_table", "closure_change"),
    "0019": (),
    "0020": (),
    "0021": (),
    "0022": ("followed_version",),
    "0023": ("bulk_file",),
}
#: The indexes that each revision added to tables that stay.
ADDED_INDEXES = {"0015": ("ix_past_version_ended",), "0017": ("ix_contained_date", "ix_contained_date_far"),
                 "0021": ("ix_job_due",)}  # fmt: skip
#: The columns that each revision added to tables that stay.
ADDED_COLUMNS = {
    "0015": (("resource", "written"), ("resource_history", "written"), ("past_version", "written"),
             ("past_version", "ended"), ("contained", "written"), ("contained", "ended")),
}  # fmt: skip


def go_back(store: Store, revision: str) -> None:
    """Make of the store one that an earlier version of the server left."""
    assert max(ADDED) == HEAD, "a new revision stands in ADDED"
    with store.database.engine.begin() as connection:
        for added in (one for later, tables in ADDED.items() if later > revision for one in tables):
            connection.execute(text(f"DROP TABLE IF EXISTS {added}"))
        for index in (one for later, indexes in ADDED_INDEXES.items() if later > revision for one in indexes):
            connection.execute(text(f"DROP INDEX IF EXISTS {index}"))
        there = inspect(connection).get_table_names()
        for table, column in (one for later, columns in ADDED_COLUMNS.items() if later > revision for one in columns):
            if table in there:
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})


def lose_index(store: Store) -> None:
    """Take from all resources what they are found by, as an earlier schema had it of some parameters."""
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE resource SET presence = 0"))
        if store.database.dialect == "sqlite":
            connection.execute(text("DELETE FROM token"))
        else:
            connection.execute(text("UPDATE resource SET tokens = '{}'"))


def opened_without_index(store: Store, revision: str, settings: Settings) -> Store:
    """Open a store that an earlier version of the server left, which found nothing by the index that is there now."""
    lose_index(store)
    return opened_from(store, revision, settings)


def opened_from(store: Store, revision: str, settings: Settings) -> Store:
    """Close a store and open it as one that an earlier version of the server left."""
    go_back(store, revision)
    store.close()
    upgraded = Store.open(settings)
    assert check(upgraded).problems == []
    return upgraded


# ---- what they hold --------------------------------------------------------------------------------------------------


def filled(settings: Settings) -> Store:
    """Open a store that holds a patient and two observations, and once held a third."""
    store = Store.open(settings)
    fill(store)
    return store


def fill(store: Store) -> None:
    """Put them into an open store."""

    def unit(inside: ResourceStore) -> None:
        inside.create("Patient", patient("Smith", id="p"), id="p")
        for id_ in ("o1", "o2", "o3"):
            inside.create("Observation", observation("Patient/p", id=id_), id=id_)

    bound(store).transact(unit)
    bound(store).transact(lambda inside: inside.delete("Observation", "o3"))


def found_by_chain(store: Store) -> list[str]:
    """Find the observations by their patient's name."""
    page = bound(store).search(query.parse("Observation", [("patient.family", "smith")]))
    return [one.id for one in page.matches]
