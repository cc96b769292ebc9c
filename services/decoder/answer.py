"""From found lines to an answer. Pure, but for the small tier's model.

Tiers, measured on the 46 answerable questions of tests/unit/decoder/meetings.json (answer
contained) with the search before the reader: the quoted line 42, SmolLM2 with the live context and
the best line repeated 29, with the live context alone 23. So the quoted line is the default.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from services.decoder.context import LiveContext
from services.decoder.model import SmallDecoder
from services.decoder.moments import asks_when_said, on_screen_when
from services.decoder.retrieval import LEAST_PROBABILITY, Hit
from services.decoder.text import clock, one_line

NOT_HEARD = "I did not hear that."
# Of the answers that the quoted line has, the share that the small tier gets right too (see above).
SMALL_TIER_SHARE = 29 / 42
DEFAULT_MAX_TOKENS = 48
LIMIT_MAX_TOKENS = 256
# Tokens of a question and of the best line that the small tier reads.
_QUESTION_TOKENS, _LINE_TOKENS = 256, 128


def is_answerable(hits: Sequence[Hit]) -> bool:
    """True when the best line is likely enough to answer."""
    return bool(hits) and hits[0].probability >= LEAST_PROBABILITY


def quoted(hit: Hit, names: dict[str, str]) -> str:
    """The line as an answer: who, when and the words; or what the screen showed, and when."""
    line = hit.line
    when = clock(line.start_sample)
    if line.kind == "screen":
        return f'The screen showed at {when}: "{line.text}"'
    who = one_line(names.get(line.speaker, line.speaker))
    return f'{who} said at {when}: "{line.text}"' if who else f'At {when} was said: "{line.text}"'


def told(hits: Sequence[Hit], question: str, names: dict[str, str]) -> str:
    """The best line as an answer; all that a picture showed to who asks for the picture."""
    best = hits[0]
    if on_screen_when(question) is not None and best.line.kind == "screen":
        return f'The screen showed at {clock(best.line.start_sample)}: "{answer_of(hits, question).text}"'
    return quoted(best, names)


@dataclass(frozen=True, slots=True)
class Extract:
    """What answers, in as few words as the evidence has; `span` is its place in the best line's text, if it is there.

    `probability` is that of the best line, also where the answer is withheld.
    """

    text: str
    span: tuple[int, int] | None
    probability: float
    abstained: bool


def answer_of(hits: Sequence[Hit], question: str) -> Extract:
    """The words that answer: a span of the best line, its speaker, its moment, or all that a picture showed."""
    sure = hits[0].probability if hits else 0.0
    if not is_answerable(hits):
        return Extract(NOT_HEARD, None, sure, abstained=True)
    best = hits[0]
    if asks_when_said(question):
        return Extract(clock(best.line.start_sample), None, sure, abstained=False)
    if on_screen_when(question) is not None and best.line.kind == "screen":
        shown = [hit.line.text for hit in hits if hit.line.start_sample == best.line.start_sample]
        return Extract("; ".join(shown), None, sure, abstained=False)
    return Extract(best.answer or best.line.text, best.span, sure, abstained=False)


def generate(
    decoder: SmallDecoder, context: LiveContext, question: str, hits: Sequence[Hit], max_tokens: int
) -> Generator[str, None, None]:
    """Words of the small decoder, greedy, on a branch of the live context with the best line repeated."""
    prompt = decoder.template("\nThis line matters: ")
    prompt += decoder.words(hits[0].line.text)[:_LINE_TOKENS]
    prompt += decoder.template("\nAnswer in a few words: ")
    prompt += decoder.words(one_line(question))[:_QUESTION_TOKENS]
    prompt += decoder.template("<|im_end|>\n<|im_start|>assistant\n")
    with context.branch() as cache:
        unread = decoder.embed(prompt)
        tokens: list[int] = []
        told = ""
        for _ in range(max_tokens):
            token = decoder.choose(cache, unread).token
            if token == decoder.end_token:
                return
            tokens.append(token)
            text = decoder.text(tokens)
            # a character of several tokens is told when it is whole
            if not text.endswith("\ufffd"):
                yield text[len(told) :]
                told = text
            unread = decoder.embed([token])
