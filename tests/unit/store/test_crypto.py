"""Sealing, blind hashes and the key file."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import example, given
from hypothesis import strategies as st

from hie.store.crypto import Blind, SealBroken, associated_data, open_, place_of_version, seal, seal_short
from hie.store.keys import FileKeys, KeyProblem
from hie.store.tenants import Tenant

KEY = AESGCM(bytes(range(32)))
PLACE = associated_data("resource", 1, "Patient", "a", 1, 7)


EITHER = pytest.mark.parametrize("seal", [seal, seal_short])


@EITHER
@given(plain=st.binary(max_size=5000))
def test_what_is_sealed_opens_unchanged(seal: Callable[..., bytes], plain: bytes) -> None:
    assert open_(KEY, seal(KEY, plain, PLACE), PLACE) == plain


@EITHER
def test_the_same_content_is_never_sealed_alike(seal: Callable[..., bytes]) -> None:
    assert seal(KEY, b"{}", PLACE) != seal(KEY, b"{}", PLACE)


def test_the_place_of_a_version_is_written_as_that_of_anything_sealed() -> None:
    assert place_of_version(1, "Patient", "a", 1, 7) == PLACE


@pytest.mark.parametrize(
    "other",
    [
        associated_data("resource", 2, "Patient", "a", 1, 7),
        associated_data("resource", 1, "Person", "a", 1, 7),
        associated_data("resource", 1, "Patient", "b", 1, 7),
        associated_data("resource", 1, "Patient", "a", 2, 7),
        associated_data("resource", 1, "Patient", "a", 1, 8),
    ],
    ids=["tenant", "type", "id", "version", "data key"],
)
@EITHER
def test_a_value_moved_to_another_place_does_not_open(seal: Callable[..., bytes], other: bytes) -> None:
    with pytest.raises(SealBroken):
        open_(KEY, seal(KEY, b"{}", PLACE), other)


@EITHER
@given(position=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
@example(position=0, flip=3)  # the one format becomes the other
def test_one_changed_byte_anywhere_does_not_open(seal: Callable[..., bytes], position: int, flip: int) -> None:
    sealed = bytearray(seal(KEY, b'{"resourceType":"Patient"}', PLACE))
    sealed[position % len(sealed)] ^= flip
    with pytest.raises(SealBroken):
        open_(KEY, bytes(sealed), PLACE)


@pytest.mark.parametrize(
    "sealed",
    [b"", b"\x02", b"\x02" + b"0" * 12, b"\x01", b"\x01" + b"0" * 12, b"\x03" + b"0" * 40],
    ids=["nothing", "no nonce", "no content", "short, no nonce", "short, no content", "no known format"],
)
def test_a_truncated_value_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        open_(KEY, sealed, PLACE)


def test_associated_data_of_different_parts_differ() -> None:
    assert associated_data("a", "bc") != associated_data("ab", "c")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_blind_hashes_are_signed_64_bit_and_repeatable(parts: list[str]) -> None:
    value = Blind(b"k" * 32).hash(*parts)
    assert -(2**63) <= value < 2**63
    assert value == Blind(b"k" * 32).hash(*parts)
    assert value != Blind(b"l" * 32).hash(*parts)


def test_the_key_file_may_be_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root.key"
    FileKeys.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["keys"][0]["kty"] == "oct"


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    FileKeys.create(path)
    path.chmod(0o644)
    with pytest.raises(KeyProblem, match="600"):
        FileKeys.load(path)


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "!!!!"}]}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}'],
    ids=["empty", "no keys", "no key", "not base64url", "too short"],
)
def test_a_broken_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "root.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyProblem):
        FileKeys.load(path)


def test_creating_a_key_file_twice_keeps_the_first(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    first = FileKeys.create(path).derive(1, "x")
    assert FileKeys.create(path).derive(1, "x") == first


def test_keys_differ_by_tenant_and_purpose() -> None:
    keys = FileKeys(bytes(32))
    derived = {keys.derive(tenant, purpose) for tenant in (1, 2) for purpose in ("blind-index", "job")}
    assert len(derived) == 4


def test_a_wrapped_key_opens_only_for_its_tenant_and_place() -> None:
    keys = FileKeys(bytes(32))
    version, wrapped = keys.wrap(1, b"k" * 32, b"place")
    assert keys.unwrap(1, version, wrapped, b"place") == b"k" * 32
    with pytest.raises(KeyProblem):
        keys.unwrap(2, version, wrapped, b"place")
    with pytest.raises(KeyProblem):
        keys.unwrap(1, version, wrapped, b"elsewhere")
    with pytest.raises(KeyProblem):
        keys.unwrap(1, version + 1, wrapped, b"place")


@given(st.text(max_size=100))
def test_sealed_text_opens_and_is_refused_when_changed(text: str) -> None:
    tenant = Tenant(1, "default", FileKeys(bytes(32)))
    sealed = tenant.seal_text(text)
    assert tenant.open_text(sealed) == text
    middle = len(sealed) // 2
    changed = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
    for wrong in (sealed[:-4], changed, "", "é", "AAAA"):
        with pytest.raises(SealBroken):
            tenant.open_text(wrong)
