"""What settings accept, and how a wrong one is answered: with its name, what was found and what would be right."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hie.commands.settings import page
from hie.settings import Settings, SettingsError


def given(text: str, tmp_path: Path) -> Settings:
    """Read settings from a TOML file."""
    (tmp_path / "hie.toml").write_text(text)
    return Settings.from_env({"HIE_CONFIG": str(tmp_path / "hie.toml")})


@pytest.mark.parametrize("line", [
    "port = true", "workers = 2.9", "embedded_worker = 2", "host = 5", "data_dir = 5", 'cors_origins = ["https://a.org"]',
    'base_url = ["http://a.org"]', "key_file = false", 'threads = ""', "port = 1979-05-27",
])  # fmt: skip
def test_a_value_of_another_type_in_the_file_stops_the_start(line: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"Setting {line.split()[0]} is "):
        given(line, tmp_path)


def test_a_secret_of_another_type_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Setting database_url") as refused:
        given('database_url = ["postgresql://u:Qz7secret@h/d"]', tmp_path)
    assert "Qz7secret" not in str(refused.value)


@pytest.mark.parametrize(("variable", "value"), [
    ("HIE_DATA_DIR", ""), ("HIE_BASE_URL", "http://"), ("HIE_BASE_URL", "https://a.org/fhir?x=1"),
    ("HIE_BASE_URL", "https://a.org/fhir#x"), ("HIE_BASE_URL", "https://a b.org/fhir"), ("HIE_PORT", ""),
    ("HIE_EMBEDDED_WORKER", ""), ("HIE_LOG_LEVEL", "debug"), ("HIE_REFERENTIAL_INTEGRITY", "all"), ("HIE_HOST", ""),
])  # fmt: skip
def test_a_variable_that_cannot_be_meant_stops_the_start(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"Setting {variable[4:].lower()} "):
        Settings.from_env({variable: value})


def test_what_is_right_is_read_from_either(tmp_path: Path) -> None:
    found = given('port = 0\nembedded_worker = false\ndata_dir = "d"\nbase_url = "https://a.org:8443/r4/"\n', tmp_path)
    assert (found.port, found.embedded_worker, found.data_dir) == (0, False, Path("d"))
    assert Settings.from_env({"HIE_PORT": "0", "HIE_EMBEDDED_WORKER": "no"}).embedded_worker is False


def test_the_page_tells_bounds_and_choices_and_both_are_kept() -> None:
    text = "\n".join(page())
    sections: dict[str, str] = {part.partition("\n")[0]: part for part in text.split("\n## HIE_")[1:]}
    for one in fields(Settings):
        if str(one.type) == "int":
            low, high = one.metadata["between"]
            assert f"from {low} to {high}" in sections[one.name.upper()]
            for wrong in (low - 1, high + 1):
                with pytest.raises(SettingsError, match=f"between {low} and {high}"):
                    Settings(**_with(one.name, wrong))
    assert "`DEBUG`, `INFO`, `WARNING`, `ERROR`" in sections["LOG_LEVEL"]
    assert "`both`, `write`, `delete`, `none`" in sections["REFERENTIAL_INTEGRITY"]


def _with(name: str, value: Any) -> dict[str, Any]:
    return {name: value}
