import base64
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.runtime.image import MAX_FILE_BYTES, decode_image, image_size
from services.runtime.stage import MediaError

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

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


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
