"""DICOM into what a reader would see, and what is refused on the way."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from fhir_adapters.base import Damaged, TooCostly, Unsupported, WrongFormat
from fhir_adapters.imaging import decode, inspect
from tests.pictures import dicom, encoded, ramp

GREY = ramp()
DEEP = ramp(top=4095, dtype=np.uint16)


def as_grey(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian],
    ids=["implicit", "explicit", "deflated"],
)
def test_pixels_are_the_same_in_every_native_transfer_syntax(syntax):
    assert np.array_equal(decode(dicom(GREY, syntax=syntax), "application/dicom").pixels, GREY)


def test_big_endian_samples_are_read():
    data = dicom(DEEP.astype(">u2"), syntax=ExplicitVRBigEndian)
    assert np.array_equal(decode(data).pixels, as_grey(DEEP / 4095))


def test_monochrome1_is_inverted():
    assert np.array_equal(decode(dicom(GREY, PhotometricInterpretation="MONOCHROME1")).pixels, 255 - GREY)


def test_12_of_16_bits_without_a_window_go_from_the_smallest_to_the_largest_value():
    assert np.array_equal(decode(dicom(DEEP, BitsStored=12, HighBit=11)).pixels, as_grey(DEEP / 4095))


def test_8_bits_without_a_window_are_as_they_are_like_those_of_a_png():
    faint = (GREY // 2 + 40).astype(np.uint8)
    assert np.array_equal(decode(dicom(faint)).pixels, decode(encoded(faint)).pixels)
    assert np.array_equal(decode(dicom(faint)).pixels, faint)
    inverted = dicom(255 - faint, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(decode(inverted).pixels, faint)
    six = (GREY // 8).astype(np.uint8)
    assert np.array_equal(decode(dicom(six, BitsStored=6, HighBit=5)).pixels, as_grey(six / 63))


def test_the_first_window_is_applied():
    data = dicom(DEEP, WindowCenter=[1000, 9], WindowWidth=[500, 9])
    assert np.array_equal(decode(data).pixels, as_grey((DEEP - 999.5) / 499 + 0.5))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR_EXACT", lambda v: (v - 1000) / 500 + 0.5),
        ("SIGMOID", lambda v: 1 / (1 + np.exp(-4 * (v - 1000) / 500))),
    ],
)
def test_the_window_follows_its_function(function, expected):
    data = dicom(DEEP, WindowCenter=1000, WindowWidth=500, VOILUTFunction=function)
    assert np.array_equal(decode(data).pixels, as_grey(expected(DEEP.astype(float))))


def test_slope_and_intercept_come_before_the_window():
    data = dicom(DEEP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(decode(data).pixels, as_grey((DEEP * 2.0 - 1000 - 999.5) / 499 + 0.5))


def test_a_voi_lut_is_applied_where_there_is_no_window():
    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.LUTData = [65535 - 257 * i for i in range(256)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    assert np.array_equal(decode(dicom(GREY, VOILUTSequence=Sequence([table]))).pixels, 255 - GREY)


def test_a_window_of_width_zero_is_no_window():
    assert np.array_equal(decode(dicom(GREY, WindowCenter=10, WindowWidth=0)).pixels, GREY)


def test_signed_samples_keep_their_order():
    signed = ramp(top=4000, dtype=np.int16) - np.int16(2000)
    expected = as_grey((signed.astype(float) + 2000) / 4000)
    assert np.array_equal(decode(dicom(signed)).pixels, expected)


def test_padding_is_black_and_does_not_count_as_the_darkest_value():
    padded = DEEP + np.uint16(1000)
    padded[:4] = 0
    pixels = decode(dicom(padded, PixelPaddingValue=0)).pixels
    assert not pixels[:4].any()
    assert np.array_equal(pixels[4:], as_grey((padded[4:].astype(float) - padded[4:].min()) / np.ptp(padded[4:])))


def test_padding_is_black_in_an_inverted_picture_too():
    padded = GREY.copy()
    padded[:4] = 0
    assert not decode(dicom(padded, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")).pixels[:4].any()


def test_a_picture_of_one_value_is_black():
    assert not decode(dicom(np.full((8, 8), 700, np.uint16))).pixels.any()


def test_an_rgb_secondary_capture_of_greys_gives_those_greys():
    image = decode(dicom(np.repeat(GREY[..., None], 3, axis=2)))
    assert np.array_equal(image.pixels, GREY)
    assert not image.colourful


def test_a_coloured_picture_is_told():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    assert decode(dicom(red)).colourful


def test_jpeg_2000_is_decoded_apart(shared_dicom):
    image = decode((shared_dicom / "JPEG2000.dcm").read_bytes())
    assert image.header.apart
    assert image.pixels.shape == (1024, 256)
    assert image.pixels.std() > 10


def test_jpeg_2000_of_our_own_keeps_every_pixel():
    frame = encoded(GREY, "JPEG2000", no_jp2=True)
    assert np.array_equal(decode(dicom(GREY, syntax=JPEG2000Lossless, frame=frame)).pixels, GREY)


def test_a_jpeg_frame_is_decoded():
    frame = encoded(GREY, "JPEG", quality=95)
    pixels = decode(dicom(GREY, syntax=JPEGBaseline8Bit, frame=frame + b"\0" * (len(frame) % 2))).pixels
    assert np.abs(pixels.astype(int) - GREY).max() < 20


def test_run_lengths_are_decoded():
    frame = RLELosslessEncoder.encode(
        GREY, rows=GREY.shape[0], columns=GREY.shape[1], samples_per_pixel=1, bits_allocated=8, bits_stored=8,
        pixel_representation=0, photometric_interpretation="MONOCHROME2", number_of_frames=1,
    )  # fmt: skip
    assert np.array_equal(decode(dicom(GREY, syntax=RLELossless, frame=frame)).pixels, GREY)


def test_the_facts_of_the_header_are_read():
    data = dicom(
        StudyDate="20240502", StudyTime="081530.25", TimezoneOffsetFromUTC="+0200", Manufacturer="Maker",
        ManufacturerModelName="X1", PatientBirthDate="20190203", PatientSex="F", IssuerOfPatientID="HOSP",
    )  # fmt: skip
    header = inspect(data, "application/dicom")
    facts, patient = header.facts, header.patient
    assert (facts.modality, facts.body_part, facts.view_position) == ("DX", "CHEST", "PA")
    assert (facts.acquired, facts.device_name) == ("2024-05-02T08:15:30+02:00", "Maker X1")
    assert (patient.id, patient.issuer, patient.birth_date, patient.gender) == ("P-1", "HOSP", "2019-02-03", "female")


def test_a_time_without_an_offset_is_left_out():
    assert inspect(dicom(StudyTime="081530")).facts.acquired == "2024-05-01"


def test_unreadable_facts_are_absent():
    data = dicom(StudyDate=None, PatientBirthDate="20241350", SOPInstanceUID="1.02.x")
    header = inspect(data)
    assert (header.facts.acquired, header.patient.birth_date, header.facts.sop_instance) == (None, None, None)


@pytest.mark.parametrize(
    ("elements", "error", "words"),
    [
        ({"Rows": 60_000, "Columns": 60_000}, Damaged, "bytes of pixels"),
        ({"Rows": 0}, Damaged, "rows and columns"),
        ({"Rows": 33}, Damaged, "bytes of pixels"),
        ({"NumberOfFrames": 3}, Unsupported, "3 frames"),
        ({"NumberOfFrames": 10**9}, Unsupported, "frames"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Unsupported, "PALETTE COLOR"),
        ({"PhotometricInterpretation": None}, Unsupported, "none"),
        ({"PhotometricInterpretation": "RGB"}, Unsupported, "1 samples"),
        ({"BitsAllocated": 32}, Unsupported, "32 bits"),
        ({"BitsStored": 7}, Unsupported, "up to bit 7"),
        ({"BitsAllocated": 1}, Unsupported, "1 bits"),
        ({"BitsStored": 99}, Damaged, "99 bits"),
        ({"PixelData": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, Unsupported, "Basic Text SR"),
    ],
    ids=["absurd size", "no rows", "too few pixels", "three frames", "a milliard of frames", "palette",
         "no photometric interpretation", "samples that do not fit", "32 bits",
         "bits at the upper end", "1 bit", "99 of 8 bits", "a report"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_the_header(elements, error, words):
    with pytest.raises(error, match=words):
        inspect(dicom(**elements))


def test_absurd_sizes_of_a_compressed_picture_are_refused():
    frame = encoded(GREY, "JPEG2000", no_jp2=True)
    with pytest.raises(TooCostly, match="60000 x 60000"):
        inspect(dicom(GREY, syntax=JPEG2000Lossless, frame=frame, Rows=60_000, Columns=60_000))


def test_a_jpeg_frame_of_another_size_than_announced_is_refused():
    frame = encoded(ramp(300, 200), "JPEG")
    with pytest.raises(Damaged, match="300 x 200"):
        inspect(dicom(GREY, syntax=JPEGBaseline8Bit, frame=frame + b"\0" * (len(frame) % 2)))


def test_a_compression_without_decoder_is_named():
    with pytest.raises(Unsupported, match="JPEG Lossless"):
        inspect(dicom(GREY, syntax=JPEGLosslessSV1, frame=b"\xff\xd8\xff\xd9"))


def test_an_ecg_is_named_as_what_it_is(shared_dicom):
    with pytest.raises(Unsupported, match="12-lead ECG Waveform"):
        inspect((shared_dicom / "waveform_ecg.dcm").read_bytes(), "application/dicom")


def test_a_data_set_without_header_is_refused(shared_dicom):
    with pytest.raises(WrongFormat):
        inspect((shared_dicom / "no_meta.dcm").read_bytes(), "application/dicom")


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm"])
def test_real_files_show_a_picture(shared_dicom, name):
    image = decode((shared_dicom / name).read_bytes(), "application/dicom")
    assert image.pixels.shape == (image.header.rows, image.header.columns)
    assert image.pixels.std() > 10


def test_a_deflated_bomb_is_refused():
    data = dicom(GREY, syntax=DeflatedExplicitVRLittleEndian)
    start = data.index(b"\x02\0\x10\0UI")
    end = start + 8 + struct.unpack_from("<H", data, start + 6)[0]
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(70_000_000)) + packer.flush()
    with pytest.raises(TooCostly, match="deflated"):
        inspect(data[:end] + bomb)


@pytest.mark.parametrize("group", [b"\x28\x00\x10\x30", b"\x28\x00\x00\x30", b"\x54\x00\x20\x02"],
                         ids=["VOI LUT", "modality LUT", "view"])  # fmt: skip
def test_a_sequence_of_very_many_items_is_given_up(group):
    data = dicom(GREY)
    pixels = data.rindex(b"\xe0\x7f\x10\x00")
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 50_000
    sequence = group + b"SQ\0\0" + struct.pack("<I", len(items)) + items
    with pytest.raises(TooCostly, match="5000 reads"):
        inspect(data[:pixels] + sequence + data[pixels:])


def test_millions_of_tiny_elements_are_given_up():
    data = dicom(GREY)
    tiny = b"".join(struct.pack("<HH2sH", 9, i & 0xFFFF, b"UI", 0) for i in range(200_000))
    with pytest.raises(TooCostly, match="reads"):
        inspect(data[: data.index(b"\x08\0\x16\0")] + tiny)


def test_a_truncated_file_is_damaged():
    data = dicom(DEEP)
    for end in (200, 400, len(data) // 2, len(data) - 2):
        with pytest.raises((Damaged, Unsupported)):
            decode(data[:end])


def test_a_file_of_nothing_but_its_first_word_is_damaged():
    with pytest.raises((Damaged, Unsupported)):
        inspect(io.BytesIO(bytes(128) + b"DICM").getvalue())
