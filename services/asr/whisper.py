"""Whisper base (arXiv 2212.04356): 99 languages and which of them is spoken; most of a second of work a call."""

import json
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines.lanes import Lanes, Urgency
from engines.models import model_file, open_engine
from services.asr.alignment import AlignmentHeads, Hypothesis, to_words
from services.asr.confidence import Calibration
from services.asr.decoding import DecoderRun, log_softmax
from services.asr.mel import LogMel
from services.runtime.percept import Word

MODEL = "whisper-base"
# Both chosen on a part of read speech (docs/asr-words.md); the published heads were half as exact there.
HEADS = AlignmentHeads(((5, 1), (5, 0), (3, 1), (5, 3), (4, 1)), samples_per_frame=320, late_samples=290)
CALIBRATION = Calibration(bias=-1.40, mean=3.20, least=2.02, utterance=1.03)
# More tokens than this are a loop: fast speech in scripts of one token a character stays below.
TOKENS_PER_S = 12.0
MAX_TOKENS = 224
# What a glance hears, and the frames of 10 ms that the encoder is given for it.
GLANCE_SAMPLES, GLANCE_FRAMES = 152_000, 1_000
# Positions of the decoder: prompt, head and text share them.
CONTEXT = 448
# Scripts without spaces between words: every piece that ends a character is a word.
_UNSPACED = ("zh", "ja", "th", "lo", "my", "yue")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder made of one utterance's `samples` (n,)."""

    outputs: dict[str, NDArray[np.float32]]
    samples: NDArray[np.float32]


class Whisper:
    """The weights; calls keep no state and may come from several threads. Raises ModelMissingError."""

    def __init__(self, threads: int, lanes: Lanes) -> None:
        self._encoder = lanes.engine(open_engine(MODEL, "encoder.onnx", threads=threads), Urgency.LONG)
        self._decoder = lanes.engine(open_engine(MODEL, "decoder.onnx", threads=threads), Urgency.STEP)
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(model_file(MODEL, "tokenizer.json")))
        config = json.loads(model_file(MODEL, "config.json").read_text())
        self._begin, self._end = self._id("<|startoftranscript|>"), self._id("<|endoftext|>")
        self._previous, self._transcribe = self._id("<|startofprev|>"), self._id("<|transcribe|>")
        self._no_timestamps, self._no_speech = self._id("<|notimestamps|>"), self._id("<|nocaptions|>")
        codes = [(self._tokenizer.id_to_token(i) or "").strip("<|>") for i in config["lang_ids"]]
        self._languages = dict(zip(codes, config["lang_ids"], strict=True))
        self._banned = np.zeros(self._decoder_vocabulary(), np.float32)
        self._banned[config["suppress_ids"]] = -np.inf
        self._banned[self._end + 1 :] = -np.inf  # special tokens and timestamps
        self._banned_first = self._banned.copy()
        self._banned_first[config["suppress_ids_begin"]] = -np.inf

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise KeyError(token)
        return found

    def _decoder_vocabulary(self) -> int:
        return int(next(spec.shape[-1] for spec in self._decoder.outputs if spec.name == "logits"))

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of all languages, such as "en"."""
        return tuple(self._languages)

    def encode(self, samples: NDArray[np.float32]) -> Encoded:
        """Run the encoder on (n,) samples at 16 kHz, at most 30 s, with silence up to 30 s."""
        return Encoded(self._encoder.run({"mel": LogMel(samples)}), samples)

    def glance(self, samples: NDArray[np.float32]) -> dict[str, float]:
        """`identify` by the first 9.5 s of (n,) samples alone: a quarter of the work, and as good (docs/asr.md)."""
        first = samples[:GLANCE_SAMPLES]
        return self.identify(Encoded(self._encoder.run({"mel": LogMel(first, GLANCE_FRAMES)}), first))

    def identify(self, encoded: Encoded) -> dict[str, float]:
        """Probability of each language, most likely first."""
        logits = DecoderRun(self._decoder, encoded.outputs).step([self._begin])[0]
        scores = np.exp(log_softmax(logits[list(self._languages.values())]))
        order = np.argsort(-scores)
        codes = self.languages
        return {codes[i]: float(scores[i]) for i in order}

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def transcribe(self, encoded: Encoded, language: str, *, prompt: str = "") -> Hypothesis:
        """Greedy decoding in a language that `languages` names; `prompt` is text that might have come before."""
        run = DecoderRun(self._decoder, encoded.outputs, align=True)
        head = [self._begin, self._languages[language], self._transcribe, self._no_timestamps]
        if prompt:
            before = self._tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids
            head = [self._previous, *before[: MAX_TOKENS - 1], *head]
        limit = min(MAX_TOKENS, CONTEXT - len(head), max(8, int(len(encoded.samples) / 16_000 * TOKENS_PER_S) + 4))
        first = run.step(head)
        no_speech = np.exp(log_softmax(first[head.index(self._begin)])[self._no_speech])
        row = first[-1] + self._banned_first
        tokens: list[int] = []
        log_probs: list[float] = []
        scores = log_softmax(row)
        while (token := int(scores.argmax())) != self._end and len(tokens) < limit:
            tokens.append(token)
            log_probs.append(float(scores[token]))
            scores = log_softmax(run.step([token])[0] + self._banned)
        attention = run.attention()[len(head) - 1 :]
        return Hypothesis(
            tuple(tokens),
            np.array(log_probs, np.float32),
            float(scores[self._end]),
            HEADS.align(attention, encoded.samples),
            len(tokens) >= limit,
            float(no_speech),
        )

    def words(
        self,
        hypothesis: Hypothesis,
        language: str,
        start_sample: int,
        end_sample: int,
        active: NDArray[np.bool_],
    ) -> tuple[Word, ...]:
        """The words of an utterance at [start_sample, end_sample); `active` as in `to_words`."""
        groups: list[tuple[str, int]] = []
        pending: list[int] = []
        for token in hypothesis.tokens:
            pending.append(token)
            text = self._tokenizer.decode(pending)
            if text.endswith("\ufffd"):  # the middle of a character
                continue
            joins = groups and not text.startswith(" ") and (language not in _UNSPACED or not re.match(r"\w", text))
            if joins:
                before, count = groups[-1]
                groups[-1] = (before + text, count + len(pending))
            else:
                groups.append((text.strip(), len(pending)))
            pending = []
        return to_words(hypothesis, groups, start_sample, end_sample, active, CALIBRATION)
