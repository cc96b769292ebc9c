"""How media time and untrusted words are written into the decoder's context. Pure."""

import unicodedata

from services.runtime.percept import SAMPLE_RATE


def clock(sample: int) -> str:
    """A position as mm:ss, or h:mm:ss from the first hour on."""
    seconds = max(0, sample) // SAMPLE_RATE
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes:02}:{seconds % 60:02}"


def one_line(text: str) -> str:
    """Untrusted words as one line: no control or format character can begin a line of its own."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    return " ".join(kept.split())
