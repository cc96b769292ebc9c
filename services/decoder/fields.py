"""Values for a form: each field is a question of its own, answered by words of lines; of choices one is weighed. Pure.

English only where a denial counts ("not finished"): other languages are compared by meaning alone.
"""

import re
from collections.abc import Sequence

import numpy as np

from services.decoder.retrieval import Hit
from services.runtime.sentence import SentenceEncoder
from services.runtime.stage import MediaError

MAX_FIELDS, MAX_CHOICES = 64, 256
MAX_FIELD_CHARS = 2_000
# A choice is as likely as its meaning is near to the words that answer or to all of their line, more so where it stands
# there, less where it is denied; none is meant where all are further than NONE. Chosen on made meetings of the split
# "dev" (benchmarks/structured.py).
STANDS, NONE, SHARPNESS = 1.0, 0.5, 12.0
_DENIED = r"\b(?:not|never|no longer|isn't|aren't|wasn't|weren't|hasn't|haven't|don't|doesn't|didn't|won't|can't)\b"


def check(question: str, choices: Sequence[str]) -> None:
    """Raises MediaError for a field that cannot be asked."""
    if not 1 <= len(question.strip()) <= MAX_FIELD_CHARS:
        raise MediaError(f"a field's question has {len(question)} characters, must have 1 to {MAX_FIELD_CHARS}")
    if len(choices) > MAX_CHOICES:
        raise MediaError(f"a field has {len(choices)} choices, must have {MAX_CHOICES} or fewer")


def weigh(encoder: SentenceEncoder, hit: Hit, choices: Sequence[str]) -> list[float]:
    """How likely each choice is what a line means; what is left of 1 is that it means none of them."""
    plain = [re.sub(r"[_\W]+", " ", choice).strip().lower() or choice for choice in choices]
    near = encoder.encode(plain) @ encoder.encode([hit.answer or hit.line.text, hit.line.text]).T
    stands = np.array([_stands(choice, hit.line.text.lower()) for choice in plain])
    scores = SHARPNESS * np.append(near.max(axis=1) + STANDS * stands, NONE)
    shares = np.exp(scores - scores.max())
    return [float(share) for share in shares[:-1] / shares.sum()]


def _stands(choice: str, text: str) -> int:
    """1 where a choice stands in a text in small letters, -1 where it is denied there, else 0."""
    found = re.search(rf"\b{re.escape(choice)}\b", text)
    if found is None:
        return 0
    return -1 if re.search(rf"{_DENIED}(?: \w+)?\s*$", text[: found.start()]) else 1
