"""The beam's text is likelier than the greedy one and ends where the decoder would end."""

from dataclasses import replace

import numpy as np
import pytest

from engines.engine import Engine
from services.asr.decoding import DecoderRun, log_softmax
from services.asr.service import AsrExpert
from tests.unit.asr.conftest import Samples

BEGIN, END = 1, 2


@pytest.fixture
def unclear(speech: Samples) -> Samples:
    """Speech in as much noise: many texts are about as likely."""
    noise = np.random.default_rng(1).normal(0, float(np.sqrt(np.mean(speech**2))), len(speech))
    return speech + noise.astype(np.float32)


def total(engines: tuple[Engine, Engine], samples: Samples, tokens: tuple[int, ...]) -> float:
    """Log-probability of a text and its end."""
    run = DecoderRun(engines[1], engines[0].run({"audio": samples[None]}))
    scores = log_softmax(run.step([BEGIN, *tokens]))
    return float(scores[np.arange(len(tokens) + 1), [*tokens, END]].sum())


def test_an_unclear_utterance_gets_a_likelier_text(
    graphs: tuple[Engine, Engine],
    expert: AsrExpert,
    unclear: Samples,
) -> None:
    greedy = expert.moonshine.transcribe(unclear)
    found = expert.moonshine.likeliest(greedy, unclear)
    assert found.tokens != greedy.tokens
    assert total(graphs, unclear, found.tokens) > total(graphs, unclear, greedy.tokens)
    # What is told of it is its own.
    assert found.log_probs.sum() + found.end_log_prob == pytest.approx(total(graphs, unclear, found.tokens), abs=0.02)
    assert found.alignment is not None and len(found.alignment.shares) == len(found.tokens) + 1


def test_a_text_ends_only_where_its_end_is_likeliest(
    graphs: tuple[Engine, Engine],
    expert: AsrExpert,
    unclear: Samples,
) -> None:
    found = expert.moonshine.likeliest(expert.moonshine.transcribe(unclear), unclear).tokens
    run = DecoderRun(graphs[1], graphs[0].run({"audio": unclear[None]}))
    assert run.step([BEGIN, *found])[-1].argmax() == END


def test_texts_followed_together_score_as_each_alone(
    graphs: tuple[Engine, Engine],
    speech: Samples,
) -> None:
    encoded = graphs[0].run({"audio": speech[None]})
    run = DecoderRun(graphs[1], encoded)
    run.step([BEGIN, 500])
    run.branch(np.array([0, 0, 0]), np.array([600, 700, 800]))
    both = run.branch(np.array([2, 0]), np.array([900, 1000]))
    alone = [DecoderRun(graphs[1], encoded).step([BEGIN, *t])[-1] for t in ([500, 800, 900], [500, 600, 1000])]
    # Eight-bit products differ a little from batch to batch.
    distance = np.sqrt(np.mean((both[:, None] - np.array(alone)[None]) ** 2, axis=2))
    assert distance.diagonal().max() < 0.15 < 1 < distance[[0, 1], [1, 0]].min()


def test_a_clear_utterance_keeps_its_text(expert: AsrExpert, speech: Samples) -> None:
    greedy = expert.moonshine.transcribe(speech)
    assert expert.moonshine.likeliest(greedy, speech).tokens == greedy.tokens


@pytest.mark.parametrize("kept", [0, 3, 100])
def test_a_final_does_not_depend_on_the_draft(expert: AsrExpert, unclear: Samples, kept: int) -> None:
    draft = expert.moonshine.transcribe(unclear).tokens[:kept]
    found = expert.moonshine.likeliest(expert.moonshine.transcribe(unclear, draft=draft), unclear)
    alone = expert.moonshine.likeliest(expert.moonshine.transcribe(unclear), unclear)
    assert found.tokens == alone.tokens
    assert found.log_probs.tobytes() == alone.log_probs.tobytes() and found.end_log_prob == alone.end_log_prob
    assert found.alignment is not None and alone.alignment is not None
    assert found.alignment.shares.tobytes() == alone.alignment.shares.tobytes()


def test_a_loop_that_the_limit_cut_is_not_searched(expert: AsrExpert, unclear: Samples) -> None:
    cut = replace(expert.moonshine.transcribe(unclear), is_cut=True)
    assert expert.moonshine.likeliest(cut, unclear) is cut
