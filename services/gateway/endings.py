"""Whether a media file goes on to where it says, or ought, to end: WAV, MP3, Ogg and WebM without a length. Pure.

Only the lengths and marks of the container are read. A file that says nothing of its end counts as whole: raw MP3 or
AAC without a header, a WAV file that was written before its length was known.
"""

import io
from typing import BinaryIO

from services.runtime.encodings import UNKNOWN_WAV_BYTES

# A whole Ogg page has 27 bytes, 255 lengths and what these say.
_MAX_PAGE_BYTES = 27 + 255 + 255 * 255
# The first frame of an MP3 file follows its tags; it tells the length, where anything does.
_MAX_FRAME_BYTES = 2_881
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


def lost_wav_share(file: BinaryIO) -> float:
    """How much of the sound that a WAV file says it has is not in it, of 1; 0 where that is not said."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(4) != b"RIFF":
        return 0.0
    at = 12
    while at + 8 <= end:
        file.seek(at)
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        if name == b"data":
            held = end - at - 8
            return 0.0 if size in UNKNOWN_WAV_BYTES or held >= size else 1 - held / size
        at += 8 + size + size % 2
    return 0.0


def mp3_knows_its_length(file: BinaryIO) -> bool:
    """Whether an MP3 file begins with a frame that says how long it is (Xing, Info)."""
    file.seek(0)
    head = file.read(10)
    # The length of an ID3 tag is written with seven bits a byte.
    tag = 10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:10])) if head[:3] == b"ID3" else 0
    file.seek(tag)
    first = file.read(_MAX_FRAME_BYTES)
    return b"Xing" in first or b"Info" in first


def ogg_is_cut(file: BinaryIO) -> bool:
    """True when the file does not end with a whole page that is marked as the last one."""
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - _MAX_PAGE_BYTES))
    tail = file.read()
    at = tail.find(b"OggS")
    while at >= 0:
        if _is_page(tail[at:]):
            return not tail[at + 5] & 4
        at = tail.find(b"OggS", at + 1)
    return True


def _is_page(data: bytes) -> bool:
    """Whether a page begins here and ends with the data."""
    return len(data) >= 27 and len(data) == 27 + data[26] + sum(data[27 : 27 + data[26]])


def webm_is_cut(file: BinaryIO) -> bool:
    """True when an element of a Matroska file has fewer bytes than it says."""
    end = file.seek(0, io.SEEK_END)
    at = 0
    while at < end:
        file.seek(at)
        kind = _number(file, keep_marker=True)
        size = _number(file)
        if kind is None or size is None:
            return True
        at = file.tell()
        is_unknown = size < 0
        if kind in (_SEGMENT, _CLUSTER) and is_unknown:
            continue  # what is in it follows
        if kind == _SEGMENT:
            return at + size > end
        if is_unknown:
            return False
        at += size
    return at > end


def _number(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """One EBML number (RFC 8794, section 4); -1 for a length that is not known, None where the file ends before."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    if len(rest) < more:
        return None
    number = int.from_bytes(first + rest, "big")
    if keep_marker:
        return number
    value = number & (1 << 7 * (more + 1)) - 1
    return -1 if value == (1 << 7 * (more + 1)) - 1 else value
