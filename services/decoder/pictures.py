"""Icons and buttons without words, found by what they look like: their vectors lie in the space of sentences."""

import math
import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.decoder.lines import Line
from services.decoder.moments import MAX_CHARS

# A session shows some hundreds; the oldest go first.
MAX_PICTURES = 4_000
_NAMED = re.compile(
    r"\b(?P<before>[\w' -]*?)\s*\b(?:icons?|symbols?|buttons?)\b(?:\s+(?:for|of|to)\s+(?P<after>[\w' -]+))?"
)
_FILLING = frozenset(
    "a an the any some is are was were be there do does did has have had can could will would what which where when "
    "who how that this these those it its on in at of for to with see shown show find look looks looking like i we you "
    "they and or screen page".split()
)
# How likely a picture is what is asked for: logistic of nearness and of lead over the best other picture, fitted on
# drawn pages, five to a session (docs/adapters.md).
_BIAS, _BY_NEARNESS, _BY_LEAD = -5.5, 17.2, 12.2


def picture_asked(question: str) -> str | None:
    """What the icon or button that a question names shows ("trash"); None for questions about something else."""
    asked = " ".join(question.lower().split())
    found = _NAMED.search(asked) if len(asked) <= MAX_CHARS else None
    if found is None:
        return None
    words = [word for word in re.findall(r"[\w'-]+", found["before"]) if word not in _FILLING]
    words += [word for word in re.findall(r"[\w'-]+", found["after"] or "") if word not in _FILLING]
    return " ".join(words) or None


class Pictures:
    """The pictures of one session. Not thread-safe."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def show(self, line: Line, vector: NDArray[np.float32]) -> None:
        """Keep a picture, (384,) of length 1; the same `source_id` again replaces it."""
        self._lines.pop(line.source_id, None)
        self._lines[line.source_id], self._vectors[line.source_id] = line, vector
        if len(self._lines) > MAX_PICTURES:
            oldest = next(iter(self._lines))
            del self._lines[oldest], self._vectors[oldest]

    def find(self, content: str, asked: NDArray[np.float32], count: int) -> list[tuple[Line, float]]:
        """The nearest to what is asked for, (384,), with the probability that each is it; their text says `content`."""
        if not self._lines:
            return []
        names = list(self._lines)
        near = np.stack([self._vectors[name] for name in names]) @ asked
        best = np.argsort(-near, kind="stable")[:count]
        first, second = np.append(near[best], [0.0, 0.0])[:2]
        return [
            (
                replace(self._lines[names[i]], text=f"a picture like: {content}"),
                likely(float(near[i]), float(near[i] - (second if place == 0 else first))),
            )
            for place, i in enumerate(best)
        ]


def likely(nearness: float, lead: float) -> float:
    """Probability that a picture is what is asked for: cosine of their vectors, lead over the best other picture."""
    return 1 / (1 + math.exp(-_BIAS - _BY_NEARNESS * nearness - _BY_LEAD * lead))
