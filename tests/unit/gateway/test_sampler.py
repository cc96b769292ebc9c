"""Which pictures of a shared screen are read."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.gateway.sampler import FrameSampler


@pytest.fixture
def thumbnail(slide_png: bytes) -> NDArray[np.uint8]:
    slide = cv2.imdecode(np.frombuffer(slide_png, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.resize(slide, (160, 90), interpolation=cv2.INTER_AREA), np.uint8)


def test_a_still_picture_is_sent_when_it_comes_and_twice_when_it_has_come_to_rest(
    thumbnail: NDArray[np.uint8],
) -> None:
    sampler = FrameSampler()
    sent = [at_s for at_s in np.arange(0, 20, 0.25) if sampler.wants(thumbnail, at_s)]
    assert sent == [0.0, 0.5, 2.0]


def test_codec_noise_is_not_a_change(thumbnail: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(1)
    sampler = FrameSampler()
    noisy = [np.clip(thumbnail + noise.integers(-4, 5, thumbnail.shape), 0, 255).astype(np.uint8) for _ in range(40)]
    sent = [i for i, picture in enumerate(noisy) if sampler.wants(picture, i / 2)]
    assert len(sent) == 3


def test_a_typed_word_is_a_change(thumbnail: NDArray[np.uint8]) -> None:
    sampler = FrameSampler()
    for at_s in range(5):
        sampler.wants(thumbnail, at_s)
    page = np.asarray(cv2.resize(thumbnail, (1280, 720), interpolation=cv2.INTER_LINEAR), np.uint8)
    cv2.putText(page, "word", (600, 700), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 2)
    typed = np.asarray(cv2.resize(page, (160, 90), interpolation=cv2.INTER_AREA), np.uint8)
    assert sampler.wants(typed, 6.0)


def test_a_slow_fade_is_noticed(thumbnail: NDArray[np.uint8]) -> None:
    sampler = FrameSampler()
    for at_s in range(5):
        sampler.wants(thumbnail, at_s)
    fading = [np.clip(thumbnail.astype(np.int16) - 2 * i, 0, 255).astype(np.uint8) for i in range(30)]
    assert sum(sampler.wants(picture, 5 + i / 2) for i, picture in enumerate(fading)) >= 3


def test_a_window_of_another_size_is_a_change(thumbnail: NDArray[np.uint8]) -> None:
    sampler = FrameSampler()
    sampler.wants(thumbnail, 0.0)
    assert sampler.wants(thumbnail[:80], 1.0)


def test_a_film_is_read_ever_less_often_and_at_once_when_it_rests(thumbnail: NDArray[np.uint8]) -> None:
    sampler = FrameSampler()
    film = [np.roll(thumbnail, 3 * i, axis=1) for i in range(80)]
    sent = [i / 2 for i, picture in enumerate(film) if sampler.wants(picture, i / 2)]
    assert sent[:4] == [0.0, 0.5, 1.0, 2.0]
    assert np.diff(sent).max() <= 4.0 and len(sent) <= 15
    rest = sampler.wants(film[-1], 40.0)
    assert rest or sent[-1] == 39.5


def test_typing_is_read_at_every_look(thumbnail: NDArray[np.uint8]) -> None:
    sampler = FrameSampler()
    sampler.wants(thumbnail, 0.0)
    page = thumbnail.copy()
    for i in range(30):
        page[80, 10 + i] = 255 - page[80, 10 + i]
        assert sampler.wants(page.copy(), 1 + i / 5)


def test_a_picture_that_was_put_off_is_sent_when_asked_again(thumbnail: NDArray[np.uint8]) -> None:
    sampler = FrameSampler()
    sampler.wants(thumbnail, 0.0)
    sampler.wants(np.roll(thumbnail, 5, axis=1), 0.1)
    assert sampler.is_waiting
    assert sampler.wants(np.roll(thumbnail, 5, axis=1), 0.8)
    assert not sampler.is_waiting
