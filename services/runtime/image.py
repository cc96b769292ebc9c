"""One picture's bytes -> pixels, with its size known before anything is decoded."""

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.runtime.stage import MediaError

# A decoded picture takes 3 bytes a pixel, 100 MB at most; one with alpha and 16 bits so many while it is decoded.
MOST_BYTES_A_PIXEL = 15
MIN_SIDE_PX = 8
MAX_SIDE_PX = 8192
MAX_PIXELS = 33_554_432
MAX_FILE_BYTES = 32 << 20

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# What pixels are made of. Texts, profiles and further pictures of a PNG can unpack to gigabytes: they are left out.
_PNG_PARTS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
# Encoders write about ten; each one of a large picture costs a tenth of a second.
MAX_JPEG_SCANS = 64
# Start-of-frame markers; C4, C8 and CC in their midst are tables.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """A whole JPEG, PNG or WebP file -> (h, w, 3) uint8 BGR.

    Grey, 16-bit and CMYK pictures become 8-bit BGR; transparent parts lie over white; the EXIF
    orientation of a JPEG is applied, that of PNG and WebP is not. Of an animation the first picture
    is taken. Raises MediaError for any other kind of file, a broken one, sides outside MIN_SIDE_PX to
    MAX_SIDE_PX or more than MAX_PIXELS.
    """
    if len(data) > MAX_FILE_BYTES:
        raise MediaError(f"image has {len(data)} bytes; at most {MAX_FILE_BYTES} are taken: send it smaller")
    width, height = image_size(data)
    if not (MIN_SIDE_PX <= min(width, height) and max(width, height) <= MAX_SIDE_PX):
        raise MediaError(
            f"image is {width}x{height} pixels; each side must be {MIN_SIDE_PX} to {MAX_SIDE_PX}: send it scaled"
        )
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"image is {width}x{height}, {width * height} pixels; at most {MAX_PIXELS}: send it scaled down"
        )
    kind = "PNG" if data.startswith(_PNG) else "JPEG" if data.startswith(_JPEG) else "WebP"
    # OpenCV fills what a truncated PNG or JPEG lacks with grey, so that is found out here.
    whole = _png_parts(data) if kind == "PNG" else data if _is_whole(data) else None
    if whole is None:
        raise MediaError(f"{kind} image is cut off after {len(data)} bytes: send the whole file")
    if kind == "JPEG" and (scans := data.count(b"\xff\xda", _jpeg_frame(data))) > MAX_JPEG_SCANS:
        raise MediaError(f"JPEG image has {scans} scans; at most {MAX_JPEG_SCANS} are taken: save it again")
    buffer = np.frombuffer(whole, np.uint8)
    try:
        # IMREAD_UNCHANGED alone keeps alpha, but it ignores EXIF; only JPEG carries EXIF in practice.
        flags = cv2.IMREAD_COLOR if kind == "JPEG" else cv2.IMREAD_UNCHANGED
        pixels = cv2.imdecode(buffer, flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise MediaError(f"{kind} image cannot be decoded: the file is damaged")
    return _to_bgr(pixels)


def _to_bgr(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Any depth and 1 to 4 channels -> 8-bit BGR; alpha is laid over white."""
    if pixels.dtype == np.uint16:
        np.right_shift(pixels, 8, out=pixels)
    values = pixels.astype(np.uint8, copy=False)
    if values.ndim == 2 or values.shape[2] == 1:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2BGR), np.uint8)
    if values.shape[2] == 4:
        over_white = np.empty((*values.shape[:2], 3), np.uint8)
        for row, out in zip(values, over_white, strict=True):  # by rows: the products are 16-bit
            alpha = row[:, 3:].astype(np.uint16)
            out[:] = (row[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255
        return over_white
    return values


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height as the header says, nothing decoded. Raises MediaError."""
    try:
        if data.startswith(_PNG):
            if data[12:16] != b"IHDR":
                raise MediaError("PNG image has no IHDR: the file is damaged")
            width, height = struct.unpack(">II", data[16:24])
        elif data.startswith(_JPEG):
            at = _jpeg_frame(data)
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
        else:
            start = data[:8].hex(" ") or "nothing"
            raise MediaError(f"not a JPEG, PNG or WebP image (it starts with {start}): send one of these")
    except (struct.error, IndexError) as error:
        raise MediaError(f"image header is cut off after {len(data)} bytes: send the whole file") from error
    return int(width), int(height)


def _jpeg_frame(data: bytes) -> int:
    """Where the frame header is: ITU-T T.81 B.1.1, walking the segments."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise MediaError("JPEG image has no frame header: the file is damaged")
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAMES:
            return at
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + length


def _webp_size(data: bytes) -> tuple[int, int]:
    """RFC 9649: VP8 (lossy), VP8L (lossless) or VP8X (extended) comes first."""
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        if len(data) < 30:
            raise IndexError
        return width, height
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise MediaError(f"WebP image begins with an unknown part {kind!r}: the file is damaged")


def _is_whole(data: bytes) -> bool:
    """True when the mark of a JPEG's or WebP's end is there."""
    if data.startswith(_JPEG):
        # Coded data cannot hold the end mark; a thumbnail with one lies before the frame header.
        return data.find(b"\xff\xd9", _jpeg_frame(data)) >= 0
    return len(data) >= int.from_bytes(data[4:8], "little") + 8


def _png_parts(data: bytes) -> bytes | None:
    """The parts that pixels are made of, whatever else is in the file or behind it; None when its end is missing."""
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind in _PNG_PARTS and end <= len(data):
            kept.append(data[at:end])
            if kind == b"IEND":
                return b"".join(kept)
        at = end
    return None
