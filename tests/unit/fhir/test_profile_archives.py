"""Archives come from outside: every writer's names are read, and what nobody writes ends soon."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable

import pytest

from hie.fhir.profiles import PackageError, archive, read
from tests.growth import Work, growth, growth_of_time
from tests.packages import manifest, profile, tarball

CONTENTS = {"package/package.json": b"{}", "package/" + "long-" * 20 + "ä.json": b"1" * 700,
            "/".join(["package", "deep" * 20, "b" * 90]): b"", "other/x": b"x" * 512}  # fmt: skip


def plain(contents: dict[str, bytes], format_: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_, pax_headers={"comment": "of all"}) as target:
        for name, content in contents.items():
            one = tarfile.TarInfo(name)
            one.size = len(content)
            target.addfile(one, io.BytesIO(content))
    return buffer.getvalue()


def block(kind: bytes, content: bytes, name: bytes = b"package/a.json", size: bytes | None = None) -> bytes:
    """Return a header with its content; `size` stands in place of the content's."""
    fields = name.ljust(100, b"\0") + b"0000644\0" * 3 + (size or b"%011o\0" % len(content)).ljust(12, b"\0")
    rest = kind.ljust(101, b"\0") + b"ustar\x0000"
    header = fields + b"0" * 12 + b" " * 8 + rest
    told = header[:148] + b"%06o\0 " % sum(header) + header[156:]
    return told.ljust(512, b"\0") + content.ljust(-(-len(content) // 512) * 512, b"\0")


def found(content: bytes) -> list[tuple[str, bytes]]:
    return [(one.name, content[one.start : one.start + one.size]) for one in archive.files(content)]


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_names_of_any_length_are_read_as_each_format_writes_them(format_: int) -> None:
    assert found(plain(CONTENTS, format_)) == list(CONTENTS.items())


def test_a_long_path_is_read_where_ustar_divides_it() -> None:
    name = "/".join(["package", "deep" * 20, "b" * 90])
    assert found(plain({name: b"x"}, tarfile.USTAR_FORMAT)) == [(name, b"x")]


def test_links_and_folders_have_no_content_whatever_their_size_says() -> None:
    one = block(b"5", b"", b"package", b"00000001000\0") + block(b"2", b"", b"link", b"00000001000\0")
    files = list(archive.files(one + block(b"0", b"{}")))
    assert [(file.name, file.is_regular, file.size) for file in files] == [
        ("package", False, 0), ("link", False, 0), ("package/a.json", True, 2)]


@pytest.mark.parametrize(
    "content",
    [
        block(b"0", b"{}", size=b"\xff" * 12), block(b"0", b"{}", size=b"-1024"),
        block(b"0", b"{}", size=b"77777777777"),
        block(b"0", b"{}")[:-512], block(b"0", b"{}")[:300], block(b"0", b"{}").replace(b"package/", b"Package/"),
        block(b"x", b"99999999999999999999999 a=b\n"), block(b"x", b"0 a=b\n"), block(b"x", b"7 path=x"),
        block(b"x", b"12 path=a\nb"), block(b"x", b"-6 a=b\n"), block(b"x", b"\xb2 a=b\n"), block(b"x", b"6 abc\n"),
    ],
)  # fmt: skip
def test_what_no_archive_says_is_damage(content: bytes) -> None:
    with pytest.raises(PackageError, match="damaged: "):
        read(gzip.compress(content))


def refused(content: bytes) -> Work:
    packed = gzip.compress(content, 1)

    def work() -> None:
        with pytest.raises(PackageError):
            read(packed)

    return work


@pytest.mark.parametrize(
    "headers",
    [
        lambda number: block(b"x", b"11 a=bcdef\n") * number, lambda number: block(b"L", b"a" * 511) * number,
        lambda number: block(b"K", b"a") * number, lambda number: block(b"S", b"{}") * number,
        lambda number: block(b"x", b"11 a=bcdef\n" * number * 20), lambda number: block(b"x", b"1" * number * 10),
        lambda number: block(b"g", b"1" * number * 10),
    ],
    ids=["pax", "longname", "longlink", "sparse", "records", "digits", "global"],
)  # fmt: skip
def test_headers_that_say_much_take_as_long_as_they_are(headers: Callable[[int], bytes]) -> None:
    """Calls inside of calls, and expressions that began anew at each digit, took minutes."""

    def reading(number: int) -> Work:
        return refused(headers(number))

    assert growth(reading, 500) < 5
    assert growth_of_time(reading, 500) < 10, "what an expression does is no instruction of Python"


@pytest.mark.parametrize(
    "content",
    [
        block(b"x", b"29 GNU.sparse.map=0,1,x,9,9,\n"), block(b"x", b"22 GNU.sparse.major=1\n"),
        block(b"x", b"13 size=-512\n") + block(b"0", b"{}"),
    ],
    ids=["map", "major", "size"],
)  # fmt: skip
def test_what_headers_say_beside_a_name_has_no_effect(content: bytes) -> None:
    refused(content)()


def test_changed_archives_are_read_or_refused() -> None:
    whole = gzip.decompress(tarball(profile("named", "Patient"), package=manifest()))
    chance, outcomes = random.Random(5), {"read": 0, "refused": 0}
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            changed[chance.randrange(len(whole))] = chance.choice((0, 45, 48, 57, 255, chance.randrange(256)))
        for at in range(0, len(changed), 512):  # so that more than the checksum is asked
            if changed[at + 257 : at + 262] == b"ustar":
                header = changed[at : at + 148] + b" " * 8 + changed[at + 156 : at + 512]
                changed[at + 148 : at + 156] = b"%06o\0 " % sum(header)
        try:
            read(gzip.compress(changed, 1))
            outcomes["read"] += 1
        except PackageError:
            outcomes["refused"] += 1
    assert sum(outcomes.values()) == 300
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize("behind", [b"x", gzip.compress(b"x")], ids=["text", "another archive"])
def test_what_stands_behind_an_archive_is_not_passed_over(behind: bytes) -> None:
    whole = tarball(profile("named", "Patient"), package=manifest())
    assert read(whole + bytes(1_024)).resources == read(whole).resources
    with pytest.raises(PackageError, match="behind the end"):
        read(whole + behind)
