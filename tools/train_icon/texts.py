"""Puts what icons are called into MiniLM's space, with the product's own encoder."""

from pathlib import Path

import numpy as np

from tools.train_icon.material import DEVELOPMENT, HELD_OUT, TRAINED, listed, vocabulary


def embed(drawn: Path, out: Path) -> int:
    """Write `out`, an npz of all different texts and their unit vectors (n, 384); returns their number.

    Raises ModelMissingError.
    """
    from services.runtime.sentence import SentenceEncoder

    known = vocabulary([called for icons in TRAINED for called in listed(drawn, icons)])
    unseen = {called[0] for icons in (DEVELOPMENT, HELD_OUT) for called in listed(drawn, icons)}
    texts = sorted(known | unseen)
    encoder = SentenceEncoder()
    np.savez(out, texts=np.array(texts), vectors=encoder.encode(texts).astype(np.float16))
    return len(texts)
