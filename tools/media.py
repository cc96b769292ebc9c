"""Media files as a live client would send them: sound and pictures in order of time.

    read(path) -> Audio | Picture, Audio | Picture, ...

Positions are samples at 16 000 Hz since the file began. Sound is mono s16le without gaps inside a
stretch that the file covers; pictures come at most twice a second and only when something changed.
Memory does not grow with the length of the file.
"""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from services.gateway import media
from services.gateway.media import CHUNK_SAMPLES, Audio, Report, decoded, open_media, origin_s, read_sound, streams
from services.runtime.percept import SAMPLE_RATE
from tools.errors import MediaFileError

__all__ = ["CHUNK_SAMPLES", "SAMPLE_RATE", "Audio", "Item", "MediaInfo", "Picture", "Report", "probe", "read"]

PICTURE_SAMPLES = SAMPLE_RATE // 2
THUMBNAIL_PX = 320
# Largest grey difference of two thumbnails that compression noise makes; typing one letter makes more.
SAME_PICTURE = 8
JPEG_QUALITY = 95

Pixels = NDArray[np.uint8]


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
    with _told(), open_media(path) as container:
        audio, video = streams(container)
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
    told: set[str] = set()

    def tell_once(sentence: str) -> None:
        # Sound and pictures are read apart: both meet the end of a file that was cut off.
        if sentence not in told:
            told.add(sentence)
            on_damage(sentence)

    if info.has_audio:
        parts.append(_read_audio(path, chunk_samples, tell_once))
    if info.has_video and video:
        parts.append(_read_pictures(path, tell_once))
    if not parts:
        raise MediaFileError(f"{path} has no sound, and its pictures are switched off")
    return _something(path, heapq.merge(*parts, key=lambda item: item.end_sample))


@contextmanager
def _told() -> Iterator[None]:
    """What the gateway's reader raises, as an error of this room."""
    try:
        yield
    except media.MediaFileError as error:
        advice = "; for a picture use `sensorium see`" if error.is_picture else ""
        raise MediaFileError(f"{error}{advice}") from error


def _something(path: Path, items: Iterator[Item]) -> Iterator[Item]:
    is_empty = True
    with _told():
        for item in items:
            is_empty = False
            yield item
    if is_empty:
        raise MediaFileError(f"nothing in {path} could be decoded; is it damaged or empty?")


def _read_audio(path: Path, chunk_samples: int, on_damage: Report) -> Iterator[Item]:
    with open_media(path) as container:
        yield from read_sound(container, path, chunk_samples=chunk_samples, on_damage=on_damage)


def _read_pictures(path: Path, on_damage: Report) -> Iterator[Item]:
    with open_media(path) as container:
        _, stream = streams(container)
        stream.thread_type = "AUTO"
        begin_s = origin_s(container)
        newest: Pixels | None = None  # thumbnail of the picture that was sent last
        due = 0
        skipped: tuple[Any, int] | None = None
        count = 0
        for frame in decoded(path, container, stream, on_damage):
            start = due if frame.time is None else max(0, round((frame.time - begin_s) * SAMPLE_RATE))
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
