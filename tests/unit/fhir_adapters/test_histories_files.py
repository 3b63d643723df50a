"""Files of Bundles -> histories."""

import gzip
import io
import json
import lzma
import tarfile

import pytest

from fhir_adapters import bundle_files
from fhir_adapters.bundle_files import FileError
from fhir_adapters.histories import NO_SUBJECT, OTHER_PATIENT, HistoryError, read_histories
from ml.result import DataUnreadable

SNOMED = "http://snomed.info/sct"


def entry(resource):
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}


def person(name):
    return {"resourceType": "Patient", "id": name, "gender": "female"}


def condition(id_, name, code="1"):
    return {
        "resourceType": "Condition",
        "id": id_,
        "subject": {"reference": f"urn:uuid:{name}"},
        "code": {"coding": [{"system": SNOMED, "code": code}]},
    }


def bundle(*resources):
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry(resource) for resource in resources]}


BUNDLES = [bundle(person("a"), condition("c1", "a")), bundle(person("b"), condition("c2", "b", "2"))]
HOSPITALS = bundle({"resourceType": "Organization", "id": "o"})


def lines(*bundles):
    return b"".join(json.dumps(each).encode() + b"\n" for each in bundles)


def read(path):
    return [(history.patient, [item.code for item in history.items]) for history in read_histories(path)]


def tar_of(mode, members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


MEMBERS = {"x/a.json": lines(BUNDLES[0]), "../../b.json": lines(BUNDLES[1]), "x/README": b"not read"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("records.ndjson", lines(*BUNDLES)),
        ("records.v2.ndjson", b"\n" + lines(*BUNDLES) + b"\n  \n"),
        ("records.ndjson.gz", gzip.compress(lines(*BUNDLES))),
        ("records.ndjson.xz", lzma.compress(lines(*BUNDLES))),
        ("records.tar", tar_of("w", MEMBERS)),
        ("records.tar.gz", tar_of("w:gz", MEMBERS)),
        ("records.tar.xz", tar_of("w:xz", MEMBERS)),
        ("records.tgz", tar_of("w:gz", MEMBERS)),
    ],
)
def test_every_form_of_file_gives_the_same_histories(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    assert read(tmp_path / name) == [("a", ["1"]), ("b", ["2"])]


def test_a_directory_is_read_in_order_of_name_and_other_files_are_passed_over(tmp_path):
    (tmp_path / "2.json.gz").write_bytes(gzip.compress(json.dumps(BUNDLES[0]).encode()))
    (tmp_path / "1.json").write_text(json.dumps(BUNDLES[1], indent=1))
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "deeper").mkdir()

    assert read(tmp_path) == [("b", ["2"]), ("a", ["1"])]


def test_a_bundle_without_patients_and_records_gives_nothing(tmp_path):
    (tmp_path / "x.ndjson").write_bytes(lines(HOSPITALS, BUNDLES[0]))

    assert read(tmp_path / "x.ndjson") == [("a", ["1"])]


def test_each_patient_of_a_bundle_gets_their_own(tmp_path):
    both = bundle(person("b"), condition("c2", "b", "2"), person("a"), condition("c1", "a"), condition("c3", "a", "3"))
    (tmp_path / "x.json").write_text(json.dumps(both))

    histories = list(read_histories(tmp_path / "x.json"))

    assert [(h.patient, [i.code for i in h.items], h.left_out) for h in histories] == [
        ("a", ["1", "3"], ()),
        ("b", ["2"], ()),
    ]


def test_resources_of_somebody_outside_the_bundle_are_named_once(tmp_path):
    stray, nobodys = condition("c9", "elsewhere"), condition("c8", "a")
    del nobodys["subject"]
    (tmp_path / "x.json").write_text(json.dumps(bundle(person("a"), person("b"), stray, nobodys)))

    first, second = read_histories(tmp_path / "x.json")

    assert [(entry.source, entry.reason) for entry in first.left_out] == [
        ("Condition/c9", OTHER_PATIENT),
        ("Condition/c8", NO_SUBJECT),
    ]
    assert second.left_out == ()


def test_a_patient_without_id_goes_by_the_address_in_the_bundle(tmp_path):
    nameless = {"resourceType": "Patient", "gender": "male"}
    transaction = bundle(condition("c1", "77"))
    transaction["entry"].append({"fullUrl": "urn:uuid:77", "resource": nameless})
    (tmp_path / "x.json").write_text(json.dumps(transaction))

    (history,) = read_histories(tmp_path / "x.json")

    assert (history.patient, history.sex, len(history.items)) == ("urn:uuid:77", "male", 1)


def test_one_bundle_is_read_at_a_time(tmp_path):
    (tmp_path / "x.ndjson").write_bytes(lines(BUNDLES[0]) + b"broken\n")
    histories = read_histories(tmp_path / "x.ndjson")

    assert next(histories).patient == "a"
    with pytest.raises(HistoryError, match=r"x\.ndjson, line 2: no JSON"):
        next(histories)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"", r"x\.json: no JSON"),
        ("x.json", b"[" * 5000, "no JSON"),
        ("x.json", b"\xff\xfe", "no JSON"),
        ("x.json", b"[]", "not a Bundle"),
        ("x.ndjson", b'{"resourceType":"Patient","id":"a"}\n', "line 1: not a Bundle"),
        ("x.json", b'{"resourceType":"Bundle","type":"history"}', "type history"),
        ("x.json", json.dumps(bundle(condition("c", "a"))).encode(), "without their Patient"),
        ("x.tar", tar_of("w", {"in/y.json": b"{"}), r"x\.tar, in/y\.json: no JSON"),
        ("x.ndjson.gz", b"not gzip", "cannot be read"),
        ("x.ndjson.gz", gzip.compress(lines(*BUNDLES))[:-12], "cannot be read"),
        ("x.ndjson.xz", lzma.compress(lines(*BUNDLES))[:-30], "cannot be read"),
        ("x.ndjson.xz", b"not xz at all", "cannot be read"),
        ("x.tar.xz", b"not tar", "cannot be read"),
        ("x.tar.gz", tar_of("w:gz", MEMBERS)[:60], "cannot be read"),
        ("x.pdf", b"", "neither"),
        ("x", b"", "neither"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataUnreadable, match=message):
        list(read_histories(tmp_path / name))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"absent\.json: cannot be read: .*No such file"):
        list(read_histories(tmp_path / "absent.json"))


@pytest.mark.parametrize("name", ["x.json", "x.ndjson", "x.ndjson.xz", "x.tar"])
def test_a_document_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(bundle_files, "LARGEST_DOCUMENT", 50)
    content = lines(BUNDLES[0])
    forms = {"x.ndjson.xz": lzma.compress(content), "x.tar": tar_of("w", {"a.json": content})}
    (tmp_path / name).write_bytes(forms.get(name, content))

    with pytest.raises(FileError, match="longer than 50 bytes"):
        list(read_histories(tmp_path / name))
