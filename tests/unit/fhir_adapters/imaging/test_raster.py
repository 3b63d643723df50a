"""PNG and JPEG into grey pixels, and what is refused on the way."""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from fhir_adapters.base import Damaged, TooCostly, Unsupported, WrongFormat
from fhir_adapters.imaging import decode, inspect, is_image_type
from tests.pictures import encoded, png, png_chunk, ramp

GREY = ramp()
RED = np.zeros((8, 8, 3), np.uint8)
RED[..., 0] = 200


def test_a_grey_png_keeps_every_pixel():
    image = decode(encoded(GREY), "image/png")
    assert np.array_equal(image.pixels, GREY)
    assert image.pixels.dtype == np.uint8
    assert not image.colourful


def test_a_jpeg_keeps_the_picture():
    image = decode(encoded(GREY, "JPEG", quality=95), "image/jpeg")
    assert image.pixels.shape == GREY.shape
    assert np.abs(image.pixels.astype(int) - GREY).max() < 12


def test_a_16_bit_png_is_stretched_from_black_to_white():
    deep = ramp(top=4095, dtype=np.uint16)
    image = decode(encoded(deep))
    assert (image.pixels.min(), image.pixels.max()) == (0, 255)
    assert np.abs(image.pixels.astype(int) - GREY).max() <= 1


def test_a_palette_of_greys_gives_those_greys():
    image = decode(_palette(GREY))
    assert np.array_equal(image.pixels, GREY)


def _palette(pixels: np.ndarray) -> bytes:
    picture = Image.fromarray(pixels).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_transparent_parts_are_black():
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[:2, :, 3] = 0
    image = decode(encoded(pixels))
    assert image.pixels[0, 0] == 0
    assert image.pixels[3, 3] == 255


def test_a_colour_picture_is_told_apart_from_a_grey_one_stored_in_colours():
    assert decode(encoded(RED)).colourful
    assert not decode(encoded(np.repeat(GREY[..., None], 3, axis=2))).colourful


def test_the_orientation_of_a_photograph_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    image = decode(encoded(GREY, "JPEG", exif=exif.tobytes()))
    assert image.pixels.shape == GREY.shape[::-1]


def test_a_huge_png_is_refused_by_its_header_alone():
    with pytest.raises(TooCostly, match="20000 x 20000"):
        inspect(png(20_000, 20_000, zlib.compress(bytes(1000))), "image/png")


def test_a_picture_of_one_endless_row_is_refused():
    with pytest.raises(TooCostly, match="32000 on a side"):
        inspect(png(1, 40_000, zlib.compress(bytes(1000))))


def test_a_png_whose_data_inflate_to_far_more_than_its_size_costs_nothing():
    bomb = zlib.compress(bytes(200_000_000), 9)
    assert decode(png(8, 8, bomb)).pixels.shape == (8, 8)


def test_compressed_text_of_a_png_is_never_inflated():
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    content = zlib.compress(bytes(8 * 9))
    assert decode(png(8, 8, content, extra=text)).pixels.shape == (8, 8)


def test_a_zip_that_is_called_a_png_is_named_as_what_it_is():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("scan.png", encoded(GREY))
    with pytest.raises(WrongFormat, match="a zip archive"):
        inspect(file.getvalue(), "image/png")


def test_bytes_of_another_format_than_declared_are_refused():
    with pytest.raises(WrongFormat, match="declared as 'image/jpeg'"):
        inspect(encoded(GREY), "image/jpeg")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Damaged),
        (b"GIF89a" + bytes(100), WrongFormat),
        (bytes(200), WrongFormat),
        (encoded(GREY)[:-20], Damaged),
        (encoded(GREY)[:40], Damaged),
        (encoded(GREY, "JPEG")[:-30], Damaged),
        (encoded(GREY, "JPEG")[:100], Damaged),
        (png(8, 8, zlib.compress(bytes(72)), depth=3), Damaged),
        (png(0, 8, zlib.compress(bytes(72))), Damaged),
        (encoded(np.zeros((8, 8, 4), np.uint8)[..., :3], "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc3\0\x11\x08"),
         Unsupported),
    ],
    ids=["nothing", "a GIF", "zeros", "a PNG without its end", "a PNG of 40 bytes", "a JPEG without its end",
         "a JPEG of 100 bytes", "a bit depth that is none", "no rows", "a lossless JPEG"],
)  # fmt: skip
def test_an_unreadable_file_is_refused_by_its_structure(data, error):
    with pytest.raises(error):
        inspect(data)


def test_a_png_with_a_flipped_bit_is_refused():
    data = bytearray(encoded(GREY))
    data[60] ^= 4
    with pytest.raises(Damaged, match="checksum"):
        inspect(bytes(data))


def test_a_png_with_too_few_pixels_is_damaged():
    with pytest.raises(Damaged):
        decode(png(64, 64, zlib.compress(bytes(100))))


def test_a_cmyk_jpeg_is_refused_in_words():
    file = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(file, "JPEG")
    with pytest.raises(Unsupported, match="CMYK"):
        inspect(file.getvalue())


def test_an_animation_is_refused():
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1])]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(Unsupported, match="animation"):
        inspect(file.getvalue())


def test_a_jpeg_of_a_thousand_scans_is_refused():
    data = encoded(GREY, "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    with pytest.raises(TooCostly, match="scans"):
        inspect(data[:start] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 1000 + data[start:])


@pytest.mark.parametrize(
    ("declared", "expected"),
    [("image/png", True), ("IMAGE/JPG", True), ("application/dicom; transfer-syntax=1.2", True), ("image/gif", False),
     ("application/pdf", False), (None, False)],
)  # fmt: skip
def test_which_content_types_are_images_that_are_read(declared, expected):
    assert is_image_type(declared) is expected


def test_a_large_picture_is_decoded_in_a_process_apart():
    large = np.zeros((2100, 2000), np.uint8)
    large[0, 0], large[-1, -1] = 7, 9
    image = decode(encoded(large))
    assert image.header.apart
    assert np.array_equal(image.pixels, large)
