"""Media files as a live client would send them: sound and pictures in order of time.

    read(path) -> Audio | Picture, Audio | Picture, ...

Positions are samples at 16 000 Hz since the file began. Sound is mono s16le without gaps inside a
stretch that the file covers; pictures come at most twice a second and only when something changed.
Memory does not grow with the length of the file.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from tools.errors import MediaFileError

SAMPLE_RATE = 16_000
CHUNK_SAMPLES = SAMPLE_RATE // 10
PICTURE_SAMPLES = SAMPLE_RATE // 2
# Containers round times to a millisecond or so; a smaller difference is no gap.
JITTER_S = 0.05
# A larger jump is a broken clock, not an hour of silence.
MAX_GAP_S = 3_600.0
MAX_OVERLAP_S = 1.0
THUMBNAIL_PX = 320
# Largest grey difference of two thumbnails that compression noise makes; typing one letter makes more.
SAME_PICTURE = 8
JPEG_QUALITY = 95

Samples = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Audio:
    """One run of mono s16le at 16 kHz."""

    pcm: bytes
    start_sample: int

    @property
    def end_sample(self) -> int:
        """Position after the last sample."""
        return self.start_sample + len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture (JPEG), shown from `start_sample` on."""

    image: bytes
    start_sample: int
    frame_id: str

    @property
    def end_sample(self) -> int:
        """The same as `start_sample`: a picture takes no time."""
        return self.start_sample


Item = Audio | Picture


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file holds; `duration_s` is None where the container does not say."""

    duration_s: float | None
    has_audio: bool
    has_video: bool


def probe(path: Path) -> MediaInfo:
    """Look into a file without decoding it. Raises MediaFileError."""
    with _open(path) as container:
        audio, video = _streams(container)
        duration = container.duration / av.time_base if container.duration else None
        return MediaInfo(duration, audio is not None, video is not None)


def read(
    path: Path,
    *,
    video: bool = True,
    chunk_samples: int = CHUNK_SAMPLES,
    on_damage: Report = lambda sentence: None,
) -> Iterator[Item]:
    """Decode a file. Damaged parts are left out and told to `on_damage`.

    Raises MediaFileError: at once for what is no media, at the end when nothing could be decoded.
    """
    info = probe(path)
    parts: list[Iterator[Item]] = []
    if info.has_audio:
        parts.append(_read_audio(path, chunk_samples, on_damage))
    if info.has_video and video:
        parts.append(_read_pictures(path, on_damage))
    if not parts:
        raise MediaFileError(f"{path} has no sound, and its pictures are switched off")
    return _something(path, heapq.merge(*parts, key=lambda item: item.end_sample))


def _something(path: Path, items: Iterator[Item]) -> Iterator[Item]:
    is_empty = True
    for item in items:
        is_empty = False
        yield item
    if is_empty:
        raise MediaFileError(f"nothing in {path} could be decoded; is it damaged or empty?")


def _open(path: Path) -> Any:
    if not path.exists():
        raise MediaFileError(f"there is no file {path}")
    if not path.is_file():
        raise MediaFileError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise MediaFileError(f"{path} is empty")
    try:
        # A playlist in the file must not make us read anything else, least of all over the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise MediaFileError(f"{path} is not sound or video that can be read ({_reason(error)})") from error
    # FFmpeg draws text files as video, and takes single pictures for films.
    kind = container.format.name
    if kind == "tty" or kind.startswith("image2") or kind.endswith("_pipe"):
        container.close()
        advice = "; for a picture use `sensorium see`" if kind != "tty" else ""
        raise MediaFileError(f"{path} is not sound or video{advice}")
    if _streams(container) == (None, None):
        container.close()
        raise MediaFileError(f"{path} holds neither sound nor video")
    return container


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _streams(container: Any) -> tuple[Any, Any]:
    audio = next((s for s in container.streams.audio if s.codec_context is not None), None)
    films = (s for s in container.streams.video if s.codec_context is not None and not _is_cover(s))
    return audio, next(films, None)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _decoded(path: Path, container: Any, stream: Any, on_damage: Report) -> Iterator[Any]:
    """All frames that can be decoded; what cannot is skipped and reported once."""
    failures = 0
    try:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                on_damage(f"{path.name}: the {stream.type} ends early ({_reason(error)})")
                break
            if packet is None:
                break
            try:
                yield from packet.decode()
            except av.FFmpegError:
                failures += 1
    finally:
        if failures:
            on_damage(f"{path.name}: {failures} damaged pieces of {stream.type} were left out")


def _origin_s(container: Any) -> float:
    return container.start_time / av.time_base if container.start_time is not None else 0.0


def _read_audio(path: Path, chunk_samples: int, on_damage: Report) -> Iterator[Item]:
    start = 0
    pending = np.zeros(0, np.int16)
    for samples in _resampled(path, on_damage):
        # Rounding to the nearest; a full-scale +1.0 has no s16 value of its own.
        pending = np.concatenate([pending, np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)])
        while len(pending) >= chunk_samples:
            yield Audio(pending[:chunk_samples].astype("<i2").tobytes(), start)
            start += chunk_samples
            pending = pending[chunk_samples:]
    if len(pending):
        yield Audio(pending.astype("<i2").tobytes(), start)


def _resampled(path: Path, on_damage: Report) -> Iterator[Samples]:
    """Gapless mono float32 at 16 kHz."""
    with _open(path) as container:
        stream, _ = _streams(container)
        origin_s = _origin_s(container)
        rate = 0
        resampler: Any = None
        clock_s = 0.0  # how much sound has been passed on, silence in gaps included
        for frame in _decoded(path, container, stream, on_damage):
            if frame.sample_rate != rate:
                if resampler is not None:
                    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
                rate = frame.sample_rate
                resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
            samples = _mono(frame)
            ahead_s = 0.0 if frame.time is None else frame.time - origin_s - clock_s
            if JITTER_S < ahead_s < MAX_GAP_S:
                clock_s += ahead_s
                for silence in _silence(round(ahead_s * rate)):
                    yield resampler.resample_chunk(silence)
            elif -MAX_OVERLAP_S < ahead_s < -JITTER_S:
                samples = samples[round(-ahead_s * rate) :]
            elif abs(ahead_s) >= MAX_OVERLAP_S:
                # The clock of the file jumped: what comes next follows what came before.
                origin_s += ahead_s
            clock_s += len(samples) / rate
            if len(samples):
                yield resampler.resample_chunk(samples)
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


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


def _read_pictures(path: Path, on_damage: Report) -> Iterator[Item]:
    with _open(path) as container:
        _, stream = _streams(container)
        stream.thread_type = "AUTO"
        origin_s = _origin_s(container)
        newest: Pixels | None = None  # thumbnail of the picture that was sent last
        due = 0
        skipped: tuple[Any, int] | None = None
        count = 0
        for frame in _decoded(path, container, stream, on_damage):
            start = due if frame.time is None else max(0, round((frame.time - origin_s) * SAMPLE_RATE))
            if start < due:
                skipped = (frame, start)
                continue
            skipped = None
            due = start + PICTURE_SAMPLES
            thumbnail = _thumbnail(frame)
            if _differs(thumbnail, newest):
                newest = thumbnail
                yield Picture(_encode(frame), start, f"v{count}")
                count += 1
        if skipped is not None and _differs(_thumbnail(skipped[0]), newest):
            yield Picture(_encode(skipped[0]), skipped[1], f"v{count}")


def _thumbnail(frame: Any) -> Pixels:
    grey = frame.to_ndarray(format="gray")
    scale = THUMBNAIL_PX / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    thumbnail: Pixels = grey
    return thumbnail


def _differs(thumbnail: Pixels, other: Pixels | None) -> bool:
    if other is None or thumbnail.shape != other.shape:
        return True
    return int(cv2.absdiff(thumbnail, other).max()) > SAME_PICTURE


def _encode(frame: Any) -> bytes:
    pixels = frame.to_ndarray(format="bgr24")
    # Phones write the picture as the sensor lay and say how to turn it.
    pixels = np.rot90(pixels, round(frame.rotation / 90))
    # Full colour resolution: halved, red text on blue becomes unreadable.
    settings = [
        *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, image = cv2.imencode(".jpg", np.ascontiguousarray(pixels), settings)
    if not done:
        raise MediaFileError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} pixels cannot be encoded")
    return image.tobytes()
