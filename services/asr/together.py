"""Greedy decoding of several utterances, one run of the graph a token (Yu et al., "Orca", OSDI 2022).

A decoder reads all its weights for every token, however many rows it is given, so utterances that are being
decoded at the same time share their steps. Nobody waits for company: the first caller decodes alone, who comes
later joins at the next step and leaves when its utterance ends. Whoever leads decodes for all; it hands over
when its own utterance is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from services.asr.decoding import DecoderRun, fix

_MASKED = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class Rest:
    """The tokens that end an utterance and their log-probabilities; `end_log_prob` is that of `end` after them."""

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    end_log_prob: float


@dataclass(slots=True, eq=False)
class _Row:
    """One utterance that is being decoded; the last of `tokens` is the one to be read."""

    run: DecoderRun
    end: int
    room: int
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    end_log_prob: float = 0.0
    is_done: bool = False
    wake: Event = field(default_factory=Event)

    def choose(self, logits: NDArray[np.float32]) -> None:
        """Take the likeliest next token of (vocabulary,) scores, or be done."""
        shifted = logits - logits.max()
        total = np.log(np.exp(shifted).sum())
        token = int(shifted.argmax())
        self.end_log_prob = float(shifted[self.end] - total)
        if token == self.end or len(self.tokens) >= self.room:
            self.is_done = True
        else:
            self.tokens.append(token)
            self.log_probs.append(float(shifted[token] - total))


class Together:
    """Single-token steps of one decoder graph that has `cross_bias`; calls come from any thread."""

    def __init__(self, decoder: Engine) -> None:
        self._decoder = decoder
        self._lock = Lock()
        self._members: list[_Row] = []
        # Steps run so far and the rows in them: their ratio is the mean batch.
        self.steps = 0
        self.rows_stepped = 0
        # What follows is touched by the one who leads only: the caches of `_rows`, one above the other.
        self._rows: list[_Row] = []
        self._padding: list[int] = []
        self._past: dict[str, NDArray[np.float32]] = {}
        self._fixed: dict[str, NDArray[np.float32]] = {}
        self._self_bias = np.zeros((0, 1, 1, 0), np.float32)

    def finish(self, run: DecoderRun, logits: NDArray[np.float32], *, end: int, room: int) -> Rest:
        """Decode on from (vocabulary,) `logits`, the scores after all that `run` has read.

        Stops before the token `end`, or after `room` tokens. Afterwards `run` has read them, as by `run.step`.
        """
        row = _Row(run, end, room)
        row.choose(logits)
        if not row.is_done:
            self._decode(row)
        return Rest(tuple(row.tokens), tuple(row.log_probs), row.end_log_prob)

    def _decode(self, row: _Row) -> None:
        with self._lock:
            self._members.append(row)
            leads = len(self._members) == 1
        if not leads:
            row.wake.wait()
        if row.is_done:
            return
        try:
            while not row.is_done:
                self._step()
        finally:
            row.is_done = True
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the next one lead. A leader whose step failed leaves the others as they were before it."""
        with self._lock:
            self._members = [row for row in self._members if not row.is_done]
            if self._members:
                self._members[0].wake.set()
            else:
                self._rows, self._past, self._fixed = [], {}, {}

    def _step(self) -> None:
        with self._lock:
            rows = [row for row in self._members if not row.is_done]
        if rows != self._rows:
            self._arrange(rows)
        feeds = {
            "tokens": np.array([[row.tokens[-1]] for row in rows], np.int64),
            "positions": np.array([[row.run.length] for row in rows], np.int64),
            "self_bias": np.concatenate([self._self_bias, np.zeros((len(rows), 1, 1, 1), np.float32)], axis=3),
        }
        attentions = next((row.run.attentions for row in rows if row.run.attentions), ())
        wanted = ["logits", *(name.replace("past_", "present_") for name in self._past), *attentions]
        result = self._decoder.run({**feeds, **self._past, **self._fixed}, wanted)
        self._self_bias = feeds["self_bias"]
        self._past = {name: result[name.replace("past_", "present_")] for name in self._past}
        self.steps += 1
        self.rows_stepped += len(rows)
        for i, row in enumerate(rows):
            row.run.note_step([result[name][i] for name in row.run.attentions])
            row.choose(result["logits"][i, 0])
            if row.is_done:
                row.run.take_past({name: past[i : i + 1, :, self._padding[i] :] for name, past in self._past.items()})
                row.wake.set()

    def _arrange(self, rows: list[_Row]) -> None:
        """Lay the caches of `rows` one above the other, short ones filled up in front."""
        before = {id(row): i for i, row in enumerate(self._rows)}
        pasts = [self._own_past(row, before.get(id(row))) for row in rows]
        crosses = [row.run.cross for row in rows]
        lengths = [row.run.length for row in rows]
        longest = max(lengths)
        frames = [next(iter(cross.values())).shape[2] for cross in crosses]
        past = {name: _stacked([past[name] for past in pasts], longest, in_front=True) for name in pasts[0]}
        fixed = {name: _stacked([c[name] for c in crosses], max(frames), in_front=False) for name in crosses[0]}
        self_bias = np.zeros((len(rows), 1, 1, longest), np.float32)
        cross_bias = np.zeros((len(rows), 1, 1, max(frames)), np.float32)
        padding = [longest - length for length in lengths]
        for i in range(len(rows)):
            self_bias[i, ..., : padding[i]] = _MASKED
            cross_bias[i, ..., frames[i] :] = _MASKED
        self._rows, self._padding = rows, padding
        self._past, self._fixed, self._self_bias = past, fixed | {"cross_bias": cross_bias}, self_bias
        fix(self._fixed)

    def _own_past(self, row: _Row, place: int | None) -> Mapping[str, NDArray[np.float32]]:
        if place is None:
            return row.run.past
        padding = self._padding[place]
        return {name: past[place : place + 1, :, padding:] for name, past in self._past.items()}


def _stacked(parts: list[NDArray[np.float32]], length: int, *, in_front: bool) -> NDArray[np.float32]:
    """(1, heads, n, size) arrays of several n as one (len(parts), heads, length, size), filled up with zeros."""
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    _, heads, _, size = parts[0].shape
    stacked = np.zeros((len(parts), heads, length, size), np.float32)
    for row, part in zip(stacked, parts, strict=True):
        n = part.shape[2]
        row[:, length - n if in_front else 0 : length if in_front else n] = part[0]
    return stacked
