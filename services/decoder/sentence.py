"""MiniLM as the decoder uses it; vision finds what is asked for in the same space."""

from services.runtime.sentence import NAME, SentenceEncoder

__all__ = ["NAME", "SentenceEncoder"]
