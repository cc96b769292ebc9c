"""Utterances of several callers, decoded together by the real decoder, come out as each by itself."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from engines.engine import Engine, TensorError
from services.asr.decoding import DecoderRun
from services.asr.together import Rest, Together
from tests.unit.asr.conftest import Samples

BEGIN, END = 1, 2


class Gate:
    """The real decoder; its first single-token run waits until all callers wait for the next one."""

    def __init__(self, engine: Engine, together: "list[Together]", callers: int) -> None:
        self._engine, self._together, self._callers = engine, together, callers
        self.backend, self.inputs, self.outputs = engine.backend, engine.inputs, engine.outputs
        self.batches: list[int] = []

    def run(self, feeds, outputs=None):  # type: ignore[no-untyped-def]
        count, new = feeds["tokens"].shape
        if new == 1 and feeds["positions"].min() > 0:
            self.batches.append(count)
            while len(self.batches) == 1 and len(self._together[0]._members) < self._callers:
                pass
        return self._engine.run(feeds, outputs)


def clips(speech: Samples) -> list[Samples]:
    """Pieces of one sentence, of unequal lengths, one of them noise."""
    noise = np.random.default_rng(3).normal(0, 0.05, 20_000).astype(np.float32)
    return [speech, speech[:48_000], speech[8_000:40_000], speech[: 2 * 16_000], noise, speech[30_000:]]


def decoded(encoder: Engine, decoder: Engine, together: Together, samples: Samples, room: int = 40) -> Rest:
    run = DecoderRun(decoder, encoder.run({"audio": samples[None]}), align=True)
    rest = together.finish(run, run.step([BEGIN])[0], end=END, room=room)
    assert run.length == 1 + len(rest.tokens) == len(run.attention())
    assert run.past["past_key.0"].shape[2] == run.length
    np.testing.assert_allclose(run.attention().sum(axis=-1), 1, atol=1e-5)
    return rest


def test_a_batch_gives_what_single_runs_give(graphs: tuple[Engine, Engine], speech: Samples) -> None:
    encoder, decoder = graphs
    sounds = clips(speech)
    alone = [decoded(encoder, decoder, Together(decoder), sound) for sound in sounds]
    assert len({len(rest.tokens) for rest in alone}) > 2
    shared: list[Together] = []
    callers = sum(bool(rest.tokens) for rest in alone)
    gate = Gate(decoder, shared, callers)
    shared.append(Together(gate))
    start = Barrier(len(sounds))

    def call(sound: Samples) -> Rest:
        start.wait()
        return decoded(encoder, gate, shared[0], sound)

    with ThreadPoolExecutor(len(sounds)) as pool:
        beside = list(pool.map(call, sounds))
    assert max(gate.batches) >= callers - 1 > 3  # the first step is run alone
    assert shared[0].rows_stepped == sum(gate.batches) and shared[0].steps == len(gate.batches)
    for one, other in zip(alone, beside, strict=True):
        assert other.tokens == one.tokens
        np.testing.assert_allclose(other.log_probs, one.log_probs, atol=0.1)
        assert other.end_log_prob == pytest.approx(one.end_log_prob, abs=0.1)


def test_the_rest_is_what_single_steps_give(graphs: tuple[Engine, Engine], speech: Samples) -> None:
    encoder, decoder = graphs
    encoded = encoder.run({"audio": speech[None]})
    rest = decoded(encoder, decoder, Together(decoder), speech)
    run = DecoderRun(decoder, encoded)
    row, tokens = run.step([BEGIN])[0], []
    while (token := int(row.argmax())) != END:
        tokens.append(token)
        row = run.step([token])[0]
    assert rest.tokens == tuple(tokens)
    # a row's products do not depend on the others: reading all at once gives the very same choices
    again = DecoderRun(decoder, encoded).step([BEGIN, *tokens])
    assert [int(scores.argmax()) for scores in again] == [*tokens, END]


@pytest.mark.parametrize("room", [0, 1, 5])
def test_no_more_tokens_than_there_is_room_for(graphs: tuple[Engine, Engine], speech: Samples, room: int) -> None:
    encoder, decoder = graphs
    rest = decoded(encoder, decoder, Together(decoder), speech, room)
    assert len(rest.tokens) == len(rest.log_probs) == room


def test_a_step_that_fails_hurts_only_the_caller_that_ran_it(graphs: tuple[Engine, Engine], speech: Samples) -> None:
    encoder, decoder = graphs
    shared: list[Together] = []

    class Failing(Gate):
        def run(self, feeds, outputs=None):  # type: ignore[no-untyped-def]
            result = super().run(feeds, outputs)
            if self.batches == [1] and feeds["positions"].min() > 0:
                raise TensorError("the first step fails")
            return result

    failing = Failing(decoder, shared, 3)
    shared.append(Together(failing))
    want = decoded(encoder, decoder, Together(decoder), speech).tokens
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(decoded, encoder, failing, shared[0], speech) for _ in range(3)]
        errors = [call.exception() for call in calls]
    assert [type(error) for error in errors if error] == [TensorError]
    assert [call.result().tokens for call, error in zip(calls, errors, strict=True) if not error] == [want, want]
