"""Moonshine tiny (arXiv 2410.15608): English, short utterances, few milliseconds."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.lanes import Lanes, Urgency
from engines.models import model_file, open_engine
from services.asr.alignment import AlignmentHeads, Hypothesis, to_words
from services.asr.beam import likeliest
from services.asr.confidence import Calibration
from services.asr.decoding import DecoderRun, log_softmax
from services.asr.together import Together
from services.runtime.percept import Word

MODEL = "moonshine-tiny-en"
# Both chosen on a part of read speech (docs/asr-words.md).
HEADS = AlignmentHeads(((5, 6), (3, 0), (3, 7), (4, 5), (4, 6)), samples_per_frame=384, late_samples=-300)
CALIBRATION = Calibration(bias=-2.01, mean=3.02, least=2.61, utterance=1.33)
# Shorter audio gives the encoder no frame.
MIN_SAMPLES = 1_600
# More tokens than this are a loop (the authors' own rule).
TOKENS_PER_S = 6.5
_BEGIN, _END = 1, 2


class Moonshine:
    """The weights; calls keep no state and may come from several threads. Raises ModelMissingError.

    `together` decodes for all of them.
    """

    def __init__(self, threads: int, lanes: Lanes) -> None:
        encoder = open_engine(MODEL, "encoder.onnx", threads=threads)
        self._encoders = {urgency: lanes.engine(encoder, urgency) for urgency in (Urgency.FINAL, Urgency.PARTIAL)}
        self._decoder = lanes.engine(open_engine(MODEL, "decoder.onnx", threads=threads), Urgency.STEP)
        self.together = Together(self._decoder)
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(model_file(MODEL, "tokenizer.json")))
        self._starts_word = _word_starts(self._tokenizer)

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        draft: Sequence[int] = (),
        align: bool = False,
        urgency: Urgency = Urgency.FINAL,
    ) -> Hypothesis:
        """Greedy decoding of (n,) samples at 16 kHz, n >= MIN_SAMPLES.

        The tokens of `draft` are taken as far as the decoder agrees: one step reads them all. `urgency` is FINAL
        or PARTIAL.
        """
        encoded = self._encoders[urgency].run({"audio": samples[None]})
        run = DecoderRun(self._decoder, encoded, align=align)
        limit = _room(samples)
        tokens = list(draft[:limit])
        scores = log_softmax(run.step([_BEGIN, *tokens]))
        best = scores.argmax(axis=1)
        agreed = next((i for i in range(len(tokens)) if best[i] != tokens[i]), len(tokens))
        del tokens[agreed:]
        run.forget_after(agreed + 1)
        log_probs = [float(scores[i, token]) for i, token in enumerate(tokens)]
        rest = self.together.finish(run, scores[agreed], end=_END, room=limit - agreed)
        tokens += rest.tokens
        log_probs += rest.log_probs
        alignment = HEADS.align(run.attention(), samples) if align else None
        is_cut = len(tokens) >= limit
        scored = np.array(log_probs, np.float32)
        return Hypothesis(tuple(tokens), scored, rest.end_log_prob, alignment, is_cut, encoded=encoded)

    def likeliest(self, greedy: Hypothesis, samples: NDArray[np.float32]) -> Hypothesis:
        """A text at least as likely as that of a reading of these samples (`beam.likeliest`), aligned.

        What the encoder made of the sound is used again. Scores and alignment are those of reading the text at once,
        so they do not depend on the draft, or on the company in which the greedy text was found.
        """
        # What the limit cut is a loop: anything would be likelier.
        if greedy.is_cut or greedy.encoded is None:
            return greedy
        found, run, scores = self._scored(greedy.tokens, greedy.encoded, samples)
        tokens = likeliest(run, scores, greedy.tokens, end=_END, room=_room(samples))
        return found if tokens == greedy.tokens else self._scored(tokens, greedy.encoded, samples)[0]

    def _scored(
        self, tokens: tuple[int, ...], encoded: Mapping[str, NDArray[np.float32]], samples: NDArray[np.float32]
    ) -> tuple[Hypothesis, DecoderRun, NDArray[np.float32]]:
        """A whole text as a hypothesis, with the run that read it and the log-probabilities of what follows."""
        run = DecoderRun(self._decoder, encoded, align=True)
        scores = log_softmax(run.step([_BEGIN, *tokens]))
        *log_probs, end_log_prob = map(float, scores[np.arange(len(tokens) + 1), [*tokens, _END]])
        alignment = HEADS.align(run.attention(), samples)
        found = Hypothesis(tokens, np.array(log_probs, np.float32), end_log_prob, alignment, encoded=encoded)
        return found, run, scores

    def words(
        self, hypothesis: Hypothesis, start_sample: int, end_sample: int, active: NDArray[np.bool_]
    ) -> tuple[Word, ...]:
        """The words of an utterance at [start_sample, end_sample); `active` as in `to_words`."""
        groups: list[tuple[str, int]] = []
        begin = 0
        for i in range(1, len(hypothesis.tokens) + 1):
            if i == len(hypothesis.tokens) or self._starts_word[hypothesis.tokens[i]]:
                groups.append((self._tokenizer.decode(hypothesis.tokens[begin:i]).strip(), i - begin))
                begin = i
        return to_words(hypothesis, groups, start_sample, end_sample, active, CALIBRATION)


def _room(samples: NDArray[np.float32]) -> int:
    return max(8, int(len(samples) / 16_000 * TOKENS_PER_S) + 2)


def _word_starts(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    return np.array([(tokenizer.id_to_token(i) or "").startswith("▁") for i in range(size)])
