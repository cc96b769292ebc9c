"""Puts what icons are called into MiniLM's space, with the product's own encoder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.train_icon.material import DEVELOPMENT, HELD_OUT, TRAINED, listed, vocabulary


class Words:
    """Texts that icons are called, as unit vectors: `vectors` (n, 384) float32, `row` of each text.

    `turned` (n, 384) is of the same words in another order: people name the same icon "add user" and "user add".
    """

    def __init__(self, path: Path) -> None:
        held = np.load(path)
        self.vectors: NDArray[np.float32] = held["vectors"].astype(np.float32)
        self.turned: NDArray[np.float32] = held["turned"].astype(np.float32)
        self.row = {str(text): row for row, text in enumerate(held["texts"])}


def embed(drawn: Path, out: Path) -> int:
    """Write `out`, an npz that `Words` reads, of all different texts; returns their number.

    Raises ModelMissingError.
    """
    from services.runtime.sentence import SentenceEncoder

    known = vocabulary([called for icons in TRAINED for called in listed(drawn, icons)])
    unseen = {called[0] for icons in (*DEVELOPMENT, *HELD_OUT) for called in listed(drawn, icons)}
    texts = sorted(known | unseen)
    encoder = SentenceEncoder()

    def vectors(sentences: list[str]) -> NDArray[np.float16]:
        parts = [encoder.encode(sentences[first : first + 256]) for first in range(0, len(sentences), 256)]
        return np.concatenate(parts).astype(np.float16)

    own, turned = vectors(texts), vectors([" ".join(reversed(text.split())) for text in texts])
    np.savez(out, texts=np.array(texts), vectors=own, turned=turned)
    return len(texts)
