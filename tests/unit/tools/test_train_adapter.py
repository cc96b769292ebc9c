"""Made speech comes to an encoder whole, in order, and each sound gets the states of its own time."""

import numpy as np
import pytest

from engines.fetch import fetch
from services.asr.stretch import MOST
from services.decoder.listening import Listener
from tests.unit.decoder.test_listening import rows_of
from tools.train_adapter.calibrate import searched
from tools.train_adapter.hear import listener, windows

RATE = 16_000


def sounds(*seconds: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(int(each * RATE)) * 0.1).astype(np.float32) for each in seconds]


def test_a_window_is_no_longer_than_what_whisper_reads_and_nothing_is_lost_or_moved() -> None:
    given = sounds(9, 9, 9, 25, 2, 2)
    packed = list(windows(given))
    assert [len(window) for window in packed] == [3, 2, 1]
    assert all(sum(map(len, window)) <= MOST for window in packed)
    assert all(one is other for one, other in zip(given, (each for window in packed for each in window), strict=True))


@pytest.mark.parametrize(("model", "samples_per_frame"), [("whisper-base", 320), ("moonshine-tiny-en", 384)])
def test_every_sound_gets_states_for_its_own_length(model: str, samples_per_frame: int) -> None:
    fetch([model])
    given = sounds(1.3, 2.6)
    for samples, states in zip(given, listener(model)(given), strict=True):
        assert abs(len(states) - len(samples) / samples_per_frame) < 3


def test_whispers_encoder_runs_once_for_all_that_fits_its_window() -> None:
    fetch(["whisper-base"])
    together = list(listener("whisper-base")(sounds(2, 3)))
    alone = list(listener("whisper-base")([np.concatenate(sounds(2, 3))]))
    np.testing.assert_array_equal(np.concatenate(together), alone[0])


def test_places_where_a_word_was_not_said_are_counted_for_said_words_too() -> None:
    said = ("move the kettle", "move the table", "no tea")
    listener = Listener()
    for i, text in enumerate(said):
        listener.hear(str(i), rows_of(text))
    # nobody wrote "kettle"; of the two words and three utterances it was said in one
    heard = searched(listener, ["move the cattle", "move the table", "no tea"], {"kettle": {0}}, ["table"])
    assert (heard.places, heard.elsewhere, heard.strange) == (1, 5, {"table"})
    assert list(zip(heard.words, heard.is_right, strict=True)) == [("kettle", True), ("table", False)]
