"""The commands as they are typed: output, exit codes, one line for each expected error."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hie.cli import Commands, main
from hie.commands import train as training
from hie.fhir.scopes import FULL_GRANT
from hie.settings import Settings
from hie.store import administration
from hie.store.audit import AuditEntry
from hie.store.resources import ResourceStore
from hie.store.store import Store

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    """Call `hie` on the data of the test."""
    environment = {"HIE_DATA_DIR": str(settings.data_dir)}

    def called(*arguments: str, **variables: str | None) -> Result:
        return CliRunner().invoke(main, list(arguments), env={**environment, **variables})

    return called


def refused(result: Result, code: int = 1) -> str:
    """The one line of an expected error."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.output
    return line.removeprefix("Error: ")


# ---- where the store is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ("check",), ("token", "list"), ("token", "revoke", "x"), ("package", "list"), ("package", "remove", "x"),
], ids=" ".join)  # fmt: skip
def test_a_command_on_what_is_there_does_not_make_a_store_in_a_mistyped_place(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    typo = tmp_path / "dtaa"
    assert refused(run(*arguments, HIE_DATA_DIR=str(typo))).startswith(f"There is no store at sqlite:///{typo}")
    assert not typo.exists()
    other = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    sqlite3.connect(tmp_path / "other.sqlite3").execute("CREATE TABLE mine (x)").connection.close()
    assert refused(run(*arguments, HIE_DATA_DIR=str(typo), HIE_DATABASE_URL=other)).startswith("There is no store at")
    assert not typo.exists()


@pytest.mark.parametrize("url", [
    "nonsense://u:secret@127.0.0.1/d", "u:secret@", "postgresql://u:secret@127.0.0.1:abc/d", "sqlite://",
    "mysql+nosuch://u:secret@h/d", "postgresql+asyncpg://u:secret@h/d",
])  # fmt: skip
@pytest.mark.parametrize("arguments", [("check",), ("token", "create", "--client", "a", "--scope", "admin")],
                         ids=("check", "token create"))
def test_a_database_url_that_cannot_be_read_is_told_without_its_password(
    run: Run, arguments: tuple[str, ...], url: str
) -> None:
    result = run(*arguments, HIE_DATABASE_URL=url)
    assert "database_url" in refused(result)
    assert "secret" not in result.output


# ---- token -----------------------------------------------------------------------------------------------------------


def test_a_token_stands_alone_on_standard_output_and_is_granted_its_scopes(run: Run, store: Store) -> None:
    made = run("token", "create", "--client", "St. Elsewhere", "--scope", "system/Patient.rs", "--scope", "admin")
    token = made.stdout.strip()
    assert made.stdout == f"{token}\n"
    row = administration.find_token(store.database.connection(), token, 0)
    assert row is not None
    assert (row.client_name, row.scope) == ("St. Elsewhere", "system/Patient.rs admin")


def test_a_token_expires_when_it_was_said_to(run: Run, store: Store) -> None:
    token = run("token", "create", "--client", "a", "--scope", "admin", "--expires-in", "1").stdout.strip()
    connection = store.database.connection()
    row = administration.find_token(connection, token, 0)
    assert row is not None
    assert administration.find_token(connection, token, row.expires - 1) is not None
    assert administration.find_token(connection, token, row.expires) is None


def test_a_second_token_of_a_name_belongs_to_the_same_client(run: Run, store: Store) -> None:
    for _ in range(2):
        assert run("token", "create", "--client", "a", "--scope", "admin").exit_code == 0
    (client,) = administration.clients(store.database.connection(), 1)
    assert client["tokens"] == 2


def test_the_list_shows_scopes_and_no_token_and_a_token_can_be_revoked(run: Run, store: Store) -> None:
    token = run("token", "create", "--client", "a", "--scope", "system/*.rs").stdout.strip()
    listed = run("token", "list").stdout
    assert token not in listed
    assert "system/*.rs" in listed
    id_ = listed.splitlines()[1].split()[0]
    assert run("token", "revoke", id_).exit_code == 0
    assert administration.find_token(store.database.connection(), token, 0) is None
    assert "revoked" in run("token", "list").stdout
    assert refused(run("token", "revoke", id_)).startswith("There is no token")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--client", "a", "--scope", "root"], "Scope 'root' is not understood"),
        (["--client", "a", "--scope", "patient/Goal.rs?category=a"], "system/Goal.rs?category=a&patient=[id]"),
        (["--client", "a", "--scope", "patient/Patient.rs"], "system/Patient.rs?_id=[id]"),
        (["--client", "a", "--scope", "patient/*.rs"], "system/[type].rs?patient=[id]"),
        (["--client", "a", "--scope", "user/Patient.read"], "system/Patient.read"),
        (["--client", "a", "--scope", "launch/patient"], "nobody signs in"),
        (["--client", "a", "--scope", "system/Paciente.rs"], "is not a resource type"),
        (["--client", " ", "--scope", "admin"], "A client's name has"),
        (["--client", "a\nb", "--scope", "admin"], "A client's name has"),
    ],
)
def test_a_token_that_cannot_be_made_says_why(run: Run, arguments: list[str], text: str) -> None:
    assert text in refused(run("token", "create", *arguments))


@pytest.mark.parametrize(
    "arguments",
    [["token", "create"], ["token", "create", "--client", "a"], ["load"], ["serve", "--port", "x"], ["unheard-of"],
     ["token", "create", "--client", "a", "--scope", "admin", "--expires-in", "0"]],
    ids=" ".join,
)  # fmt: skip
def test_a_command_that_is_called_wrongly_ends_with_2(run: Run, arguments: list[str]) -> None:
    refused(run(*arguments), 2)


# ---- settings --------------------------------------------------------------------------------------------------------


def test_settings_are_shown_with_their_origin_and_secrets_hidden(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "hie.toml"
    config.write_text("workers = 3\n")
    url = "postgresql+psycopg://user:secret@host/db"
    shown = run("settings", HIE_CONFIG=str(config), HIE_PORT="9000", HIE_DATABASE_URL=url).stdout
    assert "HIE_PORT = 9000  (HIE_PORT)" in shown
    assert f"HIE_WORKERS = 3  ({config})" in shown
    assert "HIE_HOST = 127.0.0.1  (default)" in shown
    assert "HIE_DATABASE_URL = (hidden)" in shown
    assert "secret" not in shown


def test_an_unknown_setting_stops_every_command_that_reads_settings(run: Run) -> None:
    assert refused(run("settings", HIE_PROT="9000")).startswith("Unknown setting HIE_PROT")


def test_the_token_of_load_is_no_setting_of_the_server(run: Run) -> None:
    assert run("settings", HIE_TOKEN="secret").exit_code == 0


# ---- load ------------------------------------------------------------------------------------------------------------


def test_a_load_without_a_token_or_of_a_strange_file_is_called_wrongly(run: Run, tmp_path: Path) -> None:
    bundle, picture = tmp_path / "a.json", tmp_path / "a.png"
    bundle.write_text("{}")
    picture.write_text("")
    url = "http://127.0.0.1:1/fhir"
    assert "A token is needed" in refused(run("load", "--url", url, str(bundle), HIE_TOKEN=None), 2)
    assert "a.png" in refused(run("load", "--url", url, "--token", "t", str(picture)), 2)


def test_a_load_from_an_address_that_is_none_is_told(run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "a.json"
    bundle.write_text("{}")
    assert "is not an HTTP address" in refused(run("load", "--url", "ftp://x/fhir", "--token", "t", str(bundle)))


# ---- check, routes ---------------------------------------------------------------------------------------------------


def test_a_sound_store_is_clean(run: Run, bind: Callable[..., ResourceStore]) -> None:
    bind().transact(lambda store: store.create("Basic", {"resourceType": "Basic", "code": {"text": "x"}}))
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "clean"


def test_a_row_that_was_tampered_with_is_told_and_ends_with_1(
    run: Run, store: Store, bind: Callable[..., ResourceStore]
) -> None:
    from sqlalchemy import text

    bind().transact(lambda inside: inside.create("Basic", {"resourceType": "Basic", "code": {"text": "x"}}))
    store.database.write(lambda connection: connection.execute(text("UPDATE resource SET sealed = x'00'")))
    result = run("check")
    assert result.exit_code == 1
    assert "clean" not in result.stdout
    assert "tampered with" in result.stdout


def test_check_says_when_it_was_not_told_the_base_url_that_the_index_may_be_made_by(
    run: Run, store: Store
) -> None:
    base_url = "https://exchange.example/fhir"
    here = replace(store, base_url=base_url)

    def bind() -> ResourceStore:
        return here.bind(FULL_GRANT, AuditEntry(1, store.clock(), "request", "test", "client"))

    patient = bind().transact(lambda inside: inside.create("Patient", {"resourceType": "Patient"}))
    basic = {
        "resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"{base_url}/Patient/{patient.id}"},
    }  # fmt: skip
    bind().transact(lambda inside: inside.create("Basic", basic))
    assert run("check", HIE_BASE_URL=base_url).exit_code == 0
    result = run("check")
    assert result.exit_code == 1
    assert "HIE_BASE_URL is not set" in result.stdout


def test_routes_are_printed_with_the_scope_they_ask_for(run: Run) -> None:
    rows = {tuple(line.split()[:3]) for line in run("routes").stdout.splitlines()}
    assert ("GET", "/fhir/metadata", "(open)") in rows
    assert ("GET", "/fhir/{type}/{id}", "system/[type].r") in rows
    assert ("POST", "/admin/clients", "admin") in rows


# ---- train, evaluate -------------------------------------------------------------------------------------------------


def person(number: int) -> dict[str, Any]:
    """A patient with conditions that others share, as a Bundle."""
    subject = {"reference": f"Patient/p{number}"}
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"c{number}-{code}",
            "subject": subject,
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": str(code), "display": f"item {code}"}]},
            "onsetDateTime": f"20{10 + code}-01-01",
        }
        for code in range(number % 4, number % 4 + 6)
    ]
    patient = {"resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": "1970-01-01"}
    entries = [{"resource": resource} for resource in (patient, *conditions)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.ndjson"
    path.write_text("\n".join(json.dumps(person(number)) for number in range(60)))
    return path


def test_a_recommender_is_trained_from_files_and_measured(run: Run, people: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    trained = run("train", "recommender", "--data", str(people), "--out", str(out))
    assert trained.exit_code == 0, trained.output
    manifest = json.loads((out / "manifest.json").read_text())
    assert f"recommender {manifest['version']} is in {out}." in trained.stdout
    measured = run("evaluate", "recommender", "--data", str(people), "--model-dir", str(out), "--json")
    assert measured.exit_code == 0, measured.output
    report = json.loads(measured.stdout)
    assert report["version"] == manifest["version"]
    assert report["model"] == "recommender"
    table = run("evaluate", "recommender", "--data", str(people), "--model-dir", str(out)).stdout
    assert "recall@10" in table


def test_the_same_data_and_seed_give_the_same_recommender(run: Run, people: Path, tmp_path: Path) -> None:
    versions = []
    for name in ("one", "two"):
        run("train", "recommender", "--data", str(people), "--out", str(tmp_path / name), "--seed", "3")
        versions.append(json.loads((tmp_path / name / "manifest.json").read_text())["version"])
    assert versions[0] == versions[1]


def test_a_recommender_learns_from_the_records_in_the_store(
    run: Run, bind: Callable[..., ResourceStore], tmp_path: Path
) -> None:
    def work(store: ResourceStore) -> None:
        for number in range(40):
            for entry in person(number)["entry"]:
                resource = entry["resource"]
                store.update(resource["resourceType"], resource["id"], resource)

    bind().transact(work)
    trained = run("train", "recommender", "--out", str(tmp_path / "model"))
    assert trained.exit_code == 0, trained.output
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["patients"] == 40


def test_an_empty_store_is_too_little_to_learn_from(run: Run, tmp_path: Path) -> None:
    assert refused(run("train", "recommender", "--out", str(tmp_path / "model")))


def test_a_directory_that_is_not_empty_is_not_written_into(run: Run, people: Path, tmp_path: Path) -> None:
    assert "is not empty" in refused(run("train", "recommender", "--data", str(people), "--out", str(tmp_path)))


def test_without_tensorflow_training_of_images_says_what_to_install(
    run: Run, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    result = run("train", "chest-xray", "--data", str(people), "--out", str(tmp_path / "model"))
    assert "hie-core[train]" in refused(result)


def test_the_image_model_is_measured_on_one_file(run: Run, people: Path) -> None:
    assert "one npz file" in refused(run("evaluate", "chest-xray"))
    assert "people.ndjson cannot be read" in refused(run("evaluate", "chest-xray", "--data", str(people)))


# ---- all -------------------------------------------------------------------------------------------------------------


def test_a_mistake_of_ours_is_not_hidden_as_an_expected_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hie.commands.settings.table", lambda settings: 1 / 0)
    assert isinstance(run("settings").exception, ZeroDivisionError)


def test_the_version_is_the_one_of_the_package(run: Run) -> None:
    from hie import __version__

    assert run("--version").stdout == f"hie, version {__version__}\n"


def test_every_command_explains_itself(run: Run) -> None:
    def walk(group: click.Group, path: tuple[str, ...]) -> None:
        for name, command in group.commands.items():
            assert run(*path, name, "--help").exit_code == 0
            if isinstance(command, click.Group):
                walk(command, (*path, name))

    walk(main, ())


def test_a_reader_that_has_seen_enough_is_told_nothing(database_kind: str) -> None:
    """`hie routes | head -1` closes the pipe: that is no failure of the command's to speak of."""

    @click.group(cls=Commands)
    def group() -> None: ...

    @group.command()
    def told() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    result = CliRunner().invoke(group, ["told"])
    assert (result.exit_code, result.output) == (1, "")
