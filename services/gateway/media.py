"""The sound of media files as a live client would send it: mono s16le at 16 000 Hz, without gaps.

    read_sound(path or file) -> Audio, Audio, ...

Positions are samples since the file began. Memory does not grow with the length of the file.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from services.gateway import endings
from services.runtime.percept import SAMPLE_RATE
from services.runtime.stage import MediaError

CHUNK_SAMPLES = SAMPLE_RATE // 10
# Containers round times to a millisecond or so; a smaller difference is no gap.
JITTER_S = 0.05
# A larger jump is a broken clock, not an hour of silence.
MAX_GAP_S = 3_600.0
# Nor are many gaps: together they are silence for as long as there is sound, and so much more.
MAX_SILENCE_S = 3_600.0
MAX_OVERLAP_S = 1.0

# A file that holds so much less than its header says was cut off.
MIN_LOST_S = 1.0
# Formats whose header may say how long all streams together are.
_WHOLE_LENGTH = ("matroska", "flac")

Samples = NDArray[np.float32]
Report = Callable[[str], None]


class MediaFileError(MediaError):
    """The file cannot be read as sound or video; `is_picture` tells that it can be read as a picture."""

    def __init__(self, message: str, *, is_picture: bool = False) -> None:
        super().__init__(message)
        self.is_picture = is_picture


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sent: bytes that can be read and sought, and the name it is given in sentences."""

    file: BinaryIO
    name: str

    def __str__(self) -> str:
        return self.name


Source = Path | Upload


@dataclass(frozen=True, slots=True)
class Audio:
    """One run of mono s16le at 16 kHz."""

    pcm: bytes
    start_sample: int

    @property
    def end_sample(self) -> int:
        """Position after the last sample."""
        return self.start_sample + len(self.pcm) // 2


def open_media(source: Source) -> Any:
    """The container of a file that holds sound or video. Raises MediaFileError."""
    if isinstance(source, Path):
        _check_path(source)
        # A playlist in the file must not make us read anything else, least of all over the network.
        where: Any = f"file:{source}"
        allowed = "file"
    else:
        where, allowed = source.file, "none"
    try:
        container = av.open(where, "r", options={"protocol_whitelist": allowed}, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise MediaFileError(f"{source} is not sound or video that can be read ({_reason(error)})") from error
    # FFmpeg draws text files as video, and takes single pictures for films.
    kind = container.format.name
    if kind == "tty" or kind.startswith("image2") or kind.endswith("_pipe"):
        container.close()
        raise MediaFileError(f"{source} is not sound or video", is_picture=kind != "tty")
    if streams(container) == (None, None):
        container.close()
        raise MediaFileError(f"{source} holds neither sound nor video")
    return container


def _check_path(path: Path) -> None:
    if not path.exists():
        raise MediaFileError(f"there is no file {path}")
    if not path.is_file():
        raise MediaFileError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise MediaFileError(f"{path} is empty")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def streams(container: Any) -> tuple[Any, Any]:
    """The first sound and the first film of a container; None for what it has not."""
    audio = next((s for s in container.streams.audio if s.codec_context is not None), None)
    films = (s for s in container.streams.video if s.codec_context is not None and not _is_cover(s))
    return audio, next(films, None)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def decoded(source: Source, container: Any, stream: Any, on_damage: Report) -> Iterator[Any]:
    """All frames that can be decoded; what cannot is skipped and reported once, and that the file was cut off."""
    name = source.name
    failures = 0
    # A film may well end before its sound: the file ends where both have.
    packets = container.demux() if container.format.name.startswith(_WHOLE_LENGTH) else container.demux(stream)
    end_s = 0.0
    try:
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                on_damage(f"{name}: the {stream.type} ends early ({_reason(error)})")
                break
            if packet is None:
                _tell_if_cut(source, container, end_s - origin_s(container), on_damage)
                break
            if packet.pts is not None:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is not stream:
                continue
            try:
                yield from packet.decode()
            except av.FFmpegError:
                failures += 1
    finally:
        if failures:
            on_damage(f"{name}: {failures} damaged pieces of {stream.type} were left out")


def _tell_if_cut(source: Source, container: Any, held_s: float, on_damage: Report) -> None:
    """Report a file that holds less than it says, or does not end as its container does."""
    whole_s = _whole_s(source, container, held_s)
    if math.isinf(whole_s):
        on_damage(f"{source.name}: the file ends early, after {held_s:.0f} s")
    elif whole_s - held_s >= MIN_LOST_S:
        on_damage(f"{source.name}: the file ends early, {held_s:.0f} s of the {whole_s:.0f} s that it says it has")


def _whole_s(source: Source, container: Any, held_s: float) -> float:
    """How long a file says it is; `held_s` where it says nothing, infinity where it breaks off and nobody knows."""
    said_s = held_s if container.duration is None else container.duration / av.time_base
    with _bytes(source) as file:
        match container.format.name.partition(",")[0]:
            case "matroska" if container.duration is None:
                return math.inf if endings.webm_is_cut(file) else held_s
            case "matroska" | "flac":
                return said_s
            case "mp3" if endings.mp3_knows_its_length(file):
                return said_s
            case "ogg":
                return math.inf if endings.ogg_is_cut(file) else held_s
            case "wav":
                lost = endings.lost_wav_share(file)
                return held_s / (1 - lost) if lost < 1 else math.inf
    # Other lengths are guessed from what is there.
    return held_s


def _bytes(source: Source) -> AbstractContextManager[BinaryIO]:
    return source.open("rb") if isinstance(source, Path) else nullcontext(source.file)


def origin_s(container: Any) -> float:
    """When the file begins on its own clock, in seconds."""
    return container.start_time / av.time_base if container.start_time is not None else 0.0


def read_sound(
    container: Any, source: Source, *, chunk_samples: int = CHUNK_SAMPLES, on_damage: Report = lambda sentence: None
) -> Iterator[Audio]:
    """Decode the sound of a container that was opened from `source`; damage is left out and told to `on_damage`."""
    start = 0
    pending = np.zeros(0, np.int16)
    for samples in _resampled(container, source, on_damage):
        # Rounding to the nearest; a full-scale +1.0 has no s16 value of its own.
        pending = np.concatenate([pending, np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)])
        while len(pending) >= chunk_samples:
            yield Audio(pending[:chunk_samples].astype("<i2").tobytes(), start)
            start += chunk_samples
            pending = pending[chunk_samples:]
    if len(pending):
        yield Audio(pending.astype("<i2").tobytes(), start)


def _resampled(container: Any, source: Source, on_damage: Report) -> Iterator[Samples]:
    """Gapless mono float32 at 16 kHz.

    A gap in the file's times becomes silence, one of MAX_GAP_S or more does not; neither does what is more than the
    sound before it and MAX_SILENCE_S in all. What comes next then follows what came before, and that is reported.
    """
    stream, _ = streams(container)
    begin_s = origin_s(container)
    rate = 0
    resampler: Any = None
    clock_s = 0.0  # how much sound has been passed on, silence in gaps included
    silence_s = 0.0
    has_jumped = False
    for frame in decoded(source, container, stream, on_damage):
        if frame.sample_rate != rate:
            if resampler is not None:
                yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            rate = frame.sample_rate
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        samples = _mono(frame)
        ahead_s = 0.0 if frame.time is None else frame.time - begin_s - clock_s
        room_s = MAX_SILENCE_S + (clock_s - silence_s) - silence_s
        if JITTER_S < ahead_s < MAX_GAP_S and ahead_s <= room_s:
            clock_s += ahead_s
            silence_s += ahead_s
            for silence in _silence(round(ahead_s * rate)):
                yield resampler.resample_chunk(silence)
        elif -MAX_OVERLAP_S < ahead_s < -JITTER_S:
            samples = samples[round(-ahead_s * rate) :]
        elif ahead_s > JITTER_S or ahead_s <= -MAX_OVERLAP_S:
            # The clock of the file jumped: what comes next follows what came before.
            begin_s += ahead_s
            has_jumped = True
        clock_s += len(samples) / rate
        if len(samples):
            yield resampler.resample_chunk(samples)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    if has_jumped:
        on_damage(
            f"{source.name}: its times jump; sound after a jump follows the sound before it, "
            "so times from there on differ"
        )


def _silence(n: int) -> Iterator[Samples]:
    for start in range(0, n, SAMPLE_RATE):
        yield np.zeros(min(SAMPLE_RATE, n - start), np.float32)


def _mono(frame: Any) -> Samples:
    """Mean of all channels as float32 in [-1, 1]; NaN becomes silence, infinity full scale."""
    array = frame.to_ndarray()
    if array.dtype.kind == "f":
        samples = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
    elif array.dtype == np.uint8:
        samples = (array.astype(np.float32) - 128) / 128
    else:
        samples = array.astype(np.float32) / -float(np.iinfo(array.dtype).min)
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    mono: Samples = samples.mean(axis=0, dtype=np.float32)
    return mono
