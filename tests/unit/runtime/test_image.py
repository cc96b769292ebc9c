import base64
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.runtime.image import MAX_FILE_BYTES, MAX_PIXELS, decode_image, image_size
from services.runtime.stage import MediaError

ROOT = Path(__file__).parents[3]
# 16 x 8 pixels, all cyan, four channels (Adobe marker, transform 0).
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAbEhQXFBEbFxYXHhwbIChCKyglJShROj0wQmBVZWRfVV1baniZgWpxkHNbXYW1hpCeo6ut"
    "q2eAvMm6pseZqKuk/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAG/8QAFBABAAAAAAAAAAAAAAAA"
    "AAAAAP/aAA4EQwBNAFkASwAAPwCZUymUwA//2Q=="
)


def encoded(kind: str, pixels: NDArray[np.generic]) -> bytes:
    done, data = cv2.imencode(kind, pixels)
    assert done
    return data.tobytes()


def gradient(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[..., 2] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return pixels


def png_of_size(width: int, height: int) -> bytes:
    """A header that promises much, and nearly no data."""
    return png(width, height, zlib.compress(b"\0"))


def png(width: int, height: int, packed: bytes, *, depth: int = 8, colour: int = 2, more: bytes = b"") -> bytes:
    """A PNG of these packed rows, with `more` parts between header and data."""
    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + part(b"IDAT", packed) + part(b"IEND", b"")


def part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(encoded(".jpg", gradient()))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_in_canvas(width: int, height: int, picture: bytes) -> bytes:
    """An extended WebP file whose header names another size than the picture in it has."""
    head = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body = b"WEBP" + head + (height - 1).to_bytes(3, "little") + picture[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("kind", [".png", ".webp", ".jpg"])
def test_png_jpeg_and_webp_become_bgr(kind: str) -> None:
    pixels = gradient()
    decoded = decode_image(encoded(kind, pixels))
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - pixels).mean() < 6
    if kind == ".png":
        assert (decoded == pixels).all()


@pytest.mark.parametrize("kind", [".png", ".webp", ".jpg"])
def test_the_size_is_known_from_the_header(kind: str) -> None:
    assert image_size(encoded(kind, gradient(48, 64))[:600]) == (64, 48)


def test_grey_becomes_bgr() -> None:
    grey = gradient()[..., 0]
    assert (decode_image(encoded(".png", grey)) == grey[..., None]).all()


def test_sixteen_bits_become_eight() -> None:
    pixels = gradient()
    assert (decode_image(encoded(".png", pixels.astype(np.uint16) * 257)) == pixels).all()


def test_transparent_pixels_lie_over_white() -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, 8:, 3] = 255
    decoded = decode_image(encoded(".png", pixels))
    assert (decoded[:, :8] == 255).all() and (decoded[:, 8:] == 0).all()


def test_cmyk_becomes_bgr() -> None:
    blue, green, red = decode_image(CMYK_JPEG).reshape(-1, 3).mean(axis=0)
    assert red < 60 < green and red < 60 < blue


def test_the_exif_orientation_of_a_jpeg_is_applied() -> None:
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # turned by 90 degrees
    segment = b"Exif\0\0" + tiff
    jpeg = encoded(".jpg", gradient(48, 64))
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    assert decode_image(turned).shape == (64, 48, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a JPEG, PNG or WebP"),
        (b"GIF89a" + bytes(200), "not a JPEG, PNG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG or WebP"),
        (png_of_size(1, 1), "1x1"),
        (png_of_size(16_000, 16_000), "16000x16000"),
        (png_of_size(8_000, 8_000), "64000000 pixels"),
        (png_of_size(65_535, 65_535), "65535x65535"),
        (png_of_size(2**31 - 1, 9), "2147483647x9"),
        (jpeg_of_size(65_535, 65_535), "65535x65535"),
        (jpeg_of_size(65_535, 16), "65535x16"),
        (webp_in_canvas(1 << 24, 1 << 24, encoded(".webp", gradient())), "16777216x16777216"),
        (png_of_size(2_000, 2_000), "damaged"),
        (b"\x89PNG\r\n\x1a\n\0\0", "damaged"),
        (b"\xff\xd8\xff", "cut off"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "cut off"),
        (bytes(MAX_FILE_BYTES + 1), "bytes; at most"),
    ],
)
def test_what_is_no_picture_of_a_screen_is_refused_with_a_reason(data: bytes, says: str) -> None:
    with pytest.raises(MediaError, match=says):
        decode_image(data)


@pytest.mark.parametrize("kind", [".png", ".webp", ".jpg"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encoded(kind, noise)
    with pytest.raises(MediaError):
        decode_image(data[: int(len(data) * share)])


def test_damaged_bytes_are_refused_or_read_never_anything_else() -> None:
    random = np.random.default_rng(1)
    for kind in (".png", ".webp", ".jpg"):
        data = np.frombuffer(encoded(kind, gradient()), np.uint8)
        for _ in range(40):
            broken = data.copy()
            broken[random.integers(0, len(data), 5)] = random.integers(0, 255, 5)
            try:
                assert decode_image(broken.tobytes()).shape[2] == 3
            except MediaError:
                continue


def test_texts_and_profiles_of_a_png_never_reach_the_decoder() -> None:
    rows = zlib.compress(bytes((1 + 16 * 3) * 16))
    megabytes = zlib.compress(bytes(7_900_000), 9)
    bombs = b"".join(part(b"zTXt", b"k%d\0\0" % number + megabytes) for number in range(1000))
    # libpng refuses a file with an unknown critical part: where it is read, nothing but pixels was handed over.
    unknown = part(b"BOMB", b"")
    assert decode_image(png(16, 16, rows, more=bombs + unknown)).shape == (16, 16, 3)
    assert cv2.imdecode(np.frombuffer(png(16, 16, rows, more=unknown), np.uint8), cv2.IMREAD_COLOR) is None


def test_the_largest_picture_takes_no_more_memory_than_declared() -> None:
    # A process of its own, since the most that one ever took is never taken back.
    side = int(MAX_PIXELS**0.5)
    code = f"""
import resource, zlib
from services.runtime.image import MOST_BYTES_A_PIXEL, decode_image
from tests.unit.runtime.test_image import png
packer = zlib.compressobj(1)
packed = b"".join(packer.compress(bytes(1 + 8 * {side})) for _ in range({side})) + packer.flush()
data = png({side}, {side}, packed, depth=16, colour=6)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert decode_image(data).shape == ({side}, {side}, 3)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
assert grown <= MOST_BYTES_A_PIXEL * {side * side} + (32 << 20), grown
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = encoded(".jpg", gradient())
    frame = data.find(b"\xff\xda")
    scan = data[frame:-2]
    with pytest.raises(MediaError, match="scans; at most"):
        decode_image(data[:-2] + scan * 200 + data[-2:])


def test_a_picture_that_is_another_file_too_is_read_as_the_picture() -> None:
    page = b"<script>alert(1)</script>"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("payload", page)
    for kind in (".png", ".jpg", ".webp"):
        assert decode_image(encoded(kind, gradient()) + archive.getvalue()).shape == (48, 64, 3)
    with pytest.raises(MediaError, match="not a JPEG, PNG or WebP"):
        decode_image(archive.getvalue() + encoded(".png", gradient()))
    with pytest.raises(MediaError, match="not a JPEG, PNG or WebP"):
        decode_image(b"%PDF-1.7\n" + encoded(".png", gradient()))


def test_a_webp_header_that_lies_about_the_size_is_refused() -> None:
    with pytest.raises(MediaError, match="cannot be decoded"):
        decode_image(webp_in_canvas(16, 16, encoded(".webp", gradient())))


def test_a_second_header_does_not_change_the_size() -> None:
    second = part(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    with pytest.raises(MediaError, match="cannot be decoded"):
        decode_image(png(16, 16, zlib.compress(bytes(49 * 16)), more=second))
    jpeg = encoded(".jpg", gradient())
    at = jpeg.find(b"\xff\xc0")
    (length,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
    frame = bytearray(jpeg[at : at + 2 + length])
    frame[5:9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(MediaError, match="cannot be decoded"):
        decode_image(jpeg[: at + 2 + length] + bytes(frame) + jpeg[at + 2 + length :])


def test_further_pictures_of_an_animated_png_are_left_out() -> None:
    rows = zlib.compress(bytes((1 + 16 * 3) * 16))
    frame = part(b"fcTL", struct.pack(">IIIIIHHBB", 0, 60_000, 60_000, 0, 0, 1, 1, 0, 0))
    assert decode_image(png(16, 16, rows, more=part(b"acTL", struct.pack(">II", 9, 0)) + frame)).shape == (16, 16, 3)


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_with_and_without_alpha_are_read(colour: int) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = b"\0" + b"\x80\x00" * (16 * channels)
    decoded = decode_image(png(16, 16, zlib.compress(row * 16), depth=16, colour=colour))
    grey = 128 if channels in (1, 3) else (128 * 128 + 255 * 127 + 127) // 255
    assert (decoded == grey).all()
