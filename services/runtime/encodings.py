"""Sound as existing clients send it, piece by piece -> mono float32 at 16 000 Hz.

Raw LINEAR_PCM, mu-law and A-law (ITU-T G.711); WAV files of these; FLAC (RFC 9639); Opus in Ogg
(RFC 7845, RFC 3533). Nothing waits for a whole file, memory is bounded, and how the bytes were cut
into pieces changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from services.runtime.percept import SAMPLE_RATE
from services.runtime.stage import MediaError

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
MAX_CHANNELS = 8
# A FLAC file may carry a picture of 16 MiB before its sound; more is no header.
MAX_HEADER_BYTES = 17 * 1024 * 1024
MAX_OPUS_PACKET_BYTES = 64 * 1024
OPUS_RATE_HZ = 48_000
# What stands for the length of a WAV file that is being written while it is sent.
UNKNOWN_WAV_BYTES = (0, 0x7FFFFFFF, 0xFFFFFFFF)

Samples = NDArray[np.float32]


class Encoding(Enum):
    """How sound is written; DETECT reads it off the first bytes of a WAV, FLAC or Ogg file."""

    DETECT = "detect"
    PCM_S16LE = "LINEAR_PCM"
    MULAW = "mu-law"
    ALAW = "A-law"
    FLAC = "FLAC"
    OGG_OPUS = "Ogg Opus"


@dataclass(frozen=True, slots=True)
class Sound:
    """A run of sound: `frames` (n, channels) float32 in [-1, 1] at `rate_hz`."""

    frames: Samples
    rate_hz: int


class _Reader(Protocol):
    """Takes bytes, gives sound."""

    @property
    def is_cut(self) -> bool:
        """After `flush`: the bytes ended before the file does; False where it does not say."""

    def push(self, data: bytes) -> Iterator[Sound]:
        """Take the next bytes. Raises MediaError."""

    def flush(self) -> Iterator[Sound]:
        """End of the bytes: what is left. Raises MediaError."""


class AudioDecoder:
    """One stream of bytes to mono float32 at 16 000 Hz.

    `rate_hz` and `channels` describe raw sound and are not looked at for files, which describe themselves.
    Raises MediaError for values that cannot be.
    """

    def __init__(self, encoding: Encoding, rate_hz: int = 0, channels: int = 1) -> None:
        self._reader = _reader(encoding, rate_hz, channels)
        self._rate_hz = 0
        self._resampler: Any = None

    @property
    def is_cut(self) -> bool:
        """After `flush`: a WAV file has less sound than it says, or an Ogg file no end; others do not say."""
        return self._reader.is_cut

    def push(self, data: bytes) -> Samples:
        """Take the next bytes and give what can be told by now, (n,). Raises MediaError."""
        return self._mixed(self._reader.push(data))

    def flush(self) -> Samples:
        """End of the bytes: the rest, (n,). Raises MediaError where nothing was sound."""
        rest = self._mixed(self._reader.flush())
        if self._resampler is None:
            return rest
        return np.concatenate([rest, self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)])

    def _mixed(self, sounds: Iterator[Sound]) -> Samples:
        pieces = [np.zeros(0, np.float32)]
        for sound in sounds:
            if sound.rate_hz != self._rate_hz:
                if self._rate_hz:
                    raise MediaError(f"the rate changes from {self._rate_hz} to {sound.rate_hz} Hz within the sound")
                self._rate_hz = sound.rate_hz
                if sound.rate_hz != SAMPLE_RATE:
                    self._resampler = soxr.ResampleStream(sound.rate_hz, SAMPLE_RATE, 1, dtype="float32")
            mono = sound.frames.mean(axis=1, dtype=np.float32)
            pieces.append(mono if self._resampler is None else self._resampler.resample_chunk(mono))
        return np.concatenate(pieces)


def _reader(encoding: Encoding, rate_hz: int, channels: int) -> _Reader:
    match encoding:
        case Encoding.DETECT:
            return _Detecting(None)
        case Encoding.FLAC:
            return _Flac()
        case Encoding.OGG_OPUS:
            return _OggOpus()
        case _:
            # Clients send WAV files as they are and call them LINEAR_PCM, with or without a rate.
            if rate_hz:
                _check_format(rate_hz, channels)
            return _Detecting(lambda: _Raw(encoding, rate_hz, channels))


def _check_format(rate_hz: int, channels: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise MediaError(f"the sample rate is {rate_hz} Hz, must be {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise MediaError(f"the sound has {channels} channels, must have 1 to {MAX_CHANNELS}; they are mixed to one")


class _Detecting:
    """Looks at the first bytes: a WAV file describes itself; without `raw` FLAC and Ogg do so too."""

    def __init__(self, raw: Callable[[], _Reader] | None) -> None:
        self._raw = raw
        self._head = b""
        self._found: _Reader | None = None

    @property
    def is_cut(self) -> bool:
        return self._found is not None and self._found.is_cut

    def push(self, data: bytes) -> Iterator[Sound]:
        if self._found is None:
            self._head += data
            if len(self._head) < 12:
                return
            data, self._head = self._head, b""
            self._found = self._look(data)
        yield from self._found.push(data)

    def flush(self) -> Iterator[Sound]:
        if self._found is None:
            if not self._head:
                return
            self._found = self._look(self._head)
            yield from self._found.push(self._head)
        yield from self._found.flush()

    def _look(self, head: bytes) -> _Reader:
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return _Wav()
        if self._raw is not None:
            return self._raw()
        if head[:4] == b"fLaC":
            return _Flac()
        if head[:4] == b"OggS":
            return _OggOpus()
        raise MediaError(
            "the sound begins like no WAV, FLAC or Ogg file; for raw sound set the encoding and the sample rate"
        )


def _s16(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)


def _mulaw(data: bytes) -> Samples:
    return _MULAW[np.frombuffer(data, np.uint8)]


def _alaw(data: bytes) -> Samples:
    return _ALAW[np.frombuffer(data, np.uint8)]


def _mulaw_table() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    size = ((((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (np.where(code & 0x80, -size, size) / 32768).astype(np.float32)


def _alaw_table() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    mantissa = (code & 0x0F).astype(np.int32) << 4
    exponent = ((code & 0x70) >> 4).astype(np.int32)
    size = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, size, -size) / 32768).astype(np.float32)


_MULAW, _ALAW = _mulaw_table(), _alaw_table()
_RAW: dict[Encoding, tuple[int, Callable[[bytes], Samples]]] = {
    Encoding.PCM_S16LE: (2, _s16),
    Encoding.MULAW: (1, _mulaw),
    Encoding.ALAW: (1, _alaw),
}


class _Raw:
    """Interleaved samples without a header; half a frame at the end is left out."""

    is_cut = False

    def __init__(self, encoding: Encoding, rate_hz: int, channels: int) -> None:
        _check_format(rate_hz, channels)
        width, self._convert = _RAW[encoding]
        self._frame_bytes = width * channels
        self._channels, self._rate_hz = channels, rate_hz
        self._rest = b""

    def push(self, data: bytes) -> Iterator[Sound]:
        data = self._rest + data
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        if whole:
            yield Sound(self._convert(data[:whole]).reshape(-1, self._channels), self._rate_hz)

    def flush(self) -> Iterator[Sound]:
        yield from ()


class _File:
    """Collects the bytes before the sound until `_sound_at` finds where it begins."""

    name = ""

    @property
    def is_cut(self) -> bool:
        return False

    def __init__(self) -> None:
        self._head = bytearray()
        self._is_open = False

    def push(self, data: bytes) -> Iterator[Sound]:
        if not self._is_open:
            self._head += data
            at = self._sound_at(self._head)
            if at is None:
                if len(self._head) > MAX_HEADER_BYTES:
                    raise MediaError(f"no sound in the first {MAX_HEADER_BYTES} bytes of the {self.name} file")
                return
            data = bytes(self._head[at:])
            self._head.clear()
            self._is_open = True
        if data:
            yield from self._decode(data)

    def flush(self) -> Iterator[Sound]:
        if not self._is_open:
            raise MediaError(f"the {self.name} file ends before its sound begins")
        yield from self._rest()

    def _sound_at(self, head: bytearray) -> int | None:
        raise NotImplementedError

    def _decode(self, data: bytes) -> Iterator[Sound]:
        raise NotImplementedError

    def _rest(self) -> Iterator[Sound]:
        yield from ()


class _Wav(_File):
    """RIFF: blocks of a name and a length until `data`, whose length ends nothing: streams do not know it."""

    name = "WAV"
    _FORMATS = {1: Encoding.PCM_S16LE, 6: Encoding.ALAW, 7: Encoding.MULAW}

    def __init__(self) -> None:
        super().__init__()
        self._at = 12
        self._raw: _Raw | None = None
        # Bytes of sound that are still to come, negative where more came or nobody knows.
        self._missing = 0

    @property
    def is_cut(self) -> bool:
        return self._missing > 0

    def _sound_at(self, head: bytearray) -> int | None:
        while len(head) >= self._at + 8:
            name, size = (
                head[self._at : self._at + 4],
                int.from_bytes(head[self._at + 4 : self._at + 8], "little"),
            )
            if name == b"data":
                if self._raw is None:
                    raise MediaError("the WAV file says nothing of its format before its sound")
                self._missing = 0 if size in UNKNOWN_WAV_BYTES else size
                return self._at + 8
            end = self._at + 8 + size
            if name == b"fmt ":
                if len(head) < end:
                    return None
                self._raw = self._read_format(bytes(head[self._at + 8 : end]))
            self._at = end + size % 2
        return None

    def _read_format(self, block: bytes) -> _Raw:
        if len(block) < 16:
            raise MediaError(f"the WAV file's format block has {len(block)} bytes, must have 16 or more")
        tag, channels, rate_hz = (int.from_bytes(block[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
        bits = int.from_bytes(block[14:16], "little")
        if tag == 0xFFFE and len(block) >= 26:
            tag = int.from_bytes(block[24:26], "little")
        encoding = self._FORMATS.get(tag)
        if encoding is None or bits != 8 * _RAW[encoding][0]:
            raise MediaError(
                f"the WAV file holds format {tag} with {bits} bits; must be 16-bit PCM, 8-bit mu-law or 8-bit A-law"
            )
        return _Raw(encoding, rate_hz, channels)

    def _decode(self, data: bytes) -> Iterator[Sound]:
        assert self._raw is not None
        self._missing -= len(data)
        yield from self._raw.push(data)


class _Flac(_File):
    """Metadata blocks, then frames, which FFmpeg's parser finds."""

    name = "FLAC"

    def __init__(self) -> None:
        super().__init__()
        self._at = 4
        self._rate_hz = 0
        self._codec: Any = None

    def _sound_at(self, head: bytearray) -> int | None:
        if head[:4] != b"fLaC"[: len(head)]:
            raise MediaError(f"the sound begins with {bytes(head[:4])!r}; a FLAC file begins with b'fLaC'")
        while len(head) >= self._at + 4:
            kind, size = head[self._at], int.from_bytes(head[self._at + 1 : self._at + 4], "big")
            end = self._at + 4 + size
            if len(head) < end:
                return None
            if kind & 127 == 0:
                self._read_information(bytes(head[self._at + 4 : end]))
            self._at = end
            if kind >> 7:
                if self._codec is None:
                    raise MediaError("the FLAC file has no stream information")
                return end
        return None

    def _read_information(self, block: bytes) -> None:
        if len(block) != 34:
            raise MediaError(f"the FLAC file's stream information has {len(block)} bytes, must have 34")
        self._rate_hz = int.from_bytes(block[10:13], "big") >> 4
        _check_format(self._rate_hz, (block[12] >> 1 & 7) + 1)
        self._codec = av.CodecContext.create("flac", "r")
        self._codec.extradata = block

    def _decode(self, data: bytes) -> Iterator[Sound]:
        for packet in self._codec.parse(data):
            yield from _frames(self._codec, packet, self._rate_hz)

    def _rest(self) -> Iterator[Sound]:
        # The parser gives what it holds back piece by piece.
        while packets := self._codec.parse(b""):
            for packet in packets:
                yield from _frames(self._codec, packet, self._rate_hz)


class _OggOpus:
    """Pages of one logical stream; damaged packets are left out."""

    def __init__(self) -> None:
        self._pages = bytearray()
        self._serial: bytes | None = None
        self._packet = bytearray()
        self._packets = 0
        self._codec: Any = None
        self._has_last_page = False

    @property
    def is_cut(self) -> bool:
        return not self._has_last_page or bool(self._pages)

    def push(self, data: bytes) -> Iterator[Sound]:
        self._pages += data
        at = 0
        while (end := self._page_end(at)) is not None:
            for packet in self._take_page(bytes(self._pages[at:end])):
                yield from self._take_packet(packet)
            at = end
        del self._pages[:at]

    def _page_end(self, at: int) -> int | None:
        head = self._pages[at : at + 27]
        if head[:4] != b"OggS"[: len(head)]:
            raise MediaError(
                f"bytes {bytes(head[:4])!r} where an Ogg page should begin with b'OggS'; are some missing?"
            )
        if len(head) < 27 or len(self._pages) < at + 27 + head[26]:
            return None
        end = at + 27 + head[26] + sum(self._pages[at + 27 : at + 27 + head[26]])
        return end if len(self._pages) >= end else None

    def _take_page(self, page: bytes) -> Iterator[bytes]:
        if self._serial is None:
            self._serial = page[14:18]
        if page[14:18] != self._serial:
            return
        self._has_last_page = bool(page[5] & 4)
        if not page[5] & 1:
            # What the page before left open was never finished.
            self._packet.clear()
        at = 27 + page[26]
        for size in page[27:at]:
            # The comments may hold pictures; they are not kept.
            if self._packets != 1:
                self._packet += page[at : at + size]
            at += size
            if len(self._packet) > MAX_OPUS_PACKET_BYTES:
                raise MediaError(f"an Opus packet has more than {MAX_OPUS_PACKET_BYTES} bytes")
            if size < 255:
                packet = bytes(self._packet)
                self._packet.clear()
                self._packets += 1
                yield packet

    def _take_packet(self, packet: bytes) -> Iterator[Sound]:
        if self._codec is None:
            if packet[:8] != b"OpusHead" or len(packet) < 19:
                raise MediaError("the Ogg file holds something else than Opus")
            _check_format(OPUS_RATE_HZ, packet[9])
            self._codec = av.CodecContext.create("opus", "r")
            self._codec.extradata = packet
            return
        if self._packets == 2 or not packet:
            return
        # The decoder itself leaves out what the encoder needed to begin.
        yield from _frames(self._codec, av.Packet(packet), OPUS_RATE_HZ)

    def flush(self) -> Iterator[Sound]:
        if self._codec is None:
            raise MediaError("the Ogg file ends before its sound begins")
        yield from ()


def _frames(codec: Any, packet: Any, rate_hz: int) -> Iterator[Sound]:
    """What one packet holds; nothing where it is damaged."""
    try:
        frames = codec.decode(packet)
    except av.FFmpegError:
        return
    for frame in frames:
        array = frame.to_ndarray()
        channels = frame.layout.nb_channels
        array = array.T if frame.format.is_planar else array.reshape(-1, channels)
        if array.dtype.kind == "f":
            yield Sound(np.nan_to_num(array, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1), rate_hz)
        else:
            yield Sound(array.astype(np.float32) / -float(np.iinfo(array.dtype).min), rate_hz)
