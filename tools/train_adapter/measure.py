"""How well words are found in the spelled sound of voices that are held out, with the installed graph."""

import json
import random
from pathlib import Path

import numpy as np

from services.asr.adapter import AudioAdapter
from services.decoder.listening import LEAST_LETTERS, Listener
from tools.train_adapter.material import is_held_out, vocabulary
from tools.train_adapter.reading import best_path, distance

_ASKED, _LEAST = 300, -6.0


def measure(heard: Path, model: str) -> None:
    """Print, for several least scores, the part of held-out words that is found where it was said, and false finds."""
    adapter, listener, said = AudioAdapter(model), Listener(), dict[str, set[str]]()
    wrong = letters = count = 0
    for file in sorted(heard.glob("test-*.npz")):
        with np.load(file) as part:
            texts = json.loads(str(part["texts"]))
            for text, states in zip(texts, np.split(part["states"], part["ends"][:-1]), strict=True):
                rows = adapter.spell(states.astype(np.float32))
                wrong, letters = wrong + distance(best_path(rows), text), letters + len(text)
                listener.hear(str(count), rows)
                for word in text.split():
                    if is_held_out(word) and len(word) >= LEAST_LETTERS:
                        said.setdefault(word, set()).add(str(count))
                count += 1
    rng = random.Random(0)
    asked = rng.sample(sorted(said), min(_ASKED, len(said)))
    never = [word for word in vocabulary("test") if word not in said and len(word) >= LEAST_LETTERS]
    strange = rng.sample(never, min(_ASKED, len(never)))
    right = [score for word in asked for name, score in listener.find(word, _LEAST).items() if name in said[word]]
    places = sum(len(said[word]) for word in asked)
    false = [score for word in strange for score in listener.find(word, _LEAST).values()]
    print(f"{count} utterances, letter errors {wrong / letters:.3f}, {places} places of {len(asked)} words")
    for least in np.arange(0, _LEAST - 0.1, -0.25):
        found = sum(score >= least for score in right) / places
        print(f"{least:.2f}: found {found:.3f}, false finds a word {sum(s >= least for s in false) / len(strange):.3f}")
