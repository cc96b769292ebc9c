"""Training on one thread of a CPU: letters by CTC (Graves et al. 2006), meaning by contrast with MiniLM's vectors."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.numpy_helper import to_array
from torch import Tensor
from torch.nn import functional

from services.runtime.spelling import BLANK, LETTERS
from tools.train_adapter.network import AdapterNet
from tools.train_adapter.reading import best_path, distance

_RATE, _FRAMES, _SHARPNESS, _MEANING = 2e-3, 4_000, 20.0, 0.5
# Utterances of the held-out part that each report looks at.
_LOOKED_AT = 100
_CODE = {letter: index for index, letter in enumerate(LETTERS)}


@dataclass(frozen=True)
class Heard:
    """Utterances: states (frames, width) of each, what was said, and its MiniLM vectors (n, 384)."""

    states: list[NDArray[np.float16]]
    texts: list[str]
    meanings: NDArray[np.float32]
    hours: float


def load(folder: Path, split: str, hours: float) -> Heard:
    """The parts of a split until there are so many hours."""
    states: list[NDArray[np.float16]] = []
    texts: list[str] = []
    meanings, seconds = [], 0.0
    for file in sorted(folder.glob(f"{split}-*.npz")):
        if seconds >= hours * 3600:
            break
        with np.load(file) as part:
            states += np.split(part["states"], part["ends"][:-1])
            texts += json.loads(str(part["texts"]))
            meanings.append(part["meanings"].astype(np.float32))
            seconds += float(part["seconds"])
    return Heard(states, texts, np.concatenate(meanings), seconds / 3600)


def begin(model: AdapterNet, graph: Path) -> None:
    """Give the letters' part the weights of an exported graph of the same width; raises RuntimeError for another."""
    kept = {each.name: torch.tensor(to_array(each)) for each in onnx.load(graph).graph.initializer}
    # the export turns the last product's weights round and names them anew
    (turned,) = (kept.pop(name) for name in list(kept) if not name.startswith("network."))
    own = {name.removeprefix("network."): each for name, each in kept.items()} | {"letters.weight": turned.T}
    model.load_state_dict(model.state_dict() | own)


def train(
    heard: Path, weights: Path, *, hours: float, minutes: float, start: Path | None = None, seed: int = 0
) -> None:
    """Train for `minutes` of processor time; say now and then how well held-out voices are read.

    From the exported graph `start`, if there is one, only the letters go on, at half the rate: it has no meaning.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    data, test = load(heard, "train", hours), load(heard, "test", 0.01)
    model = AdapterNet(data.states[0].shape[1])
    top_rate, weight_of_meaning = _RATE, _MEANING
    if start is not None:
        begin(model, start)
        top_rate, weight_of_meaning = _RATE / 2, 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.02)
    began, reported, step = time.process_time(), 0.0, 0
    total = np.zeros(2)
    last = 0
    print(f"{data.hours:.2f} h, {len(data.texts)} utterances", flush=True)
    if start is not None:
        print(f"begins at held-out letter errors {_measure(model, test)[0]:.3f}, letters alone", flush=True)
    while True:
        for chosen in _batches(data, random):
            done = (time.process_time() - began) / 60 / minutes
            for group in optimizer.param_groups:
                group["lr"] = (
                    top_rate
                    * min(1.0, (step + 1) / 100)
                    * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
                )
            states, lengths, padding = _stacked([data.states[i] for i in chosen], random)
            # Half precision costs nothing here and is faster.
            with torch.autocast("cpu", torch.bfloat16):
                written, meaning = (each.float() for each in model(states, padding))
            codes = [[_CODE[letter] for letter in data.texts[i]] for i in chosen]
            spelling = functional.ctc_loss(
                written.transpose(0, 1),
                torch.tensor([code for row in codes for code in row]),
                lengths,
                torch.tensor([len(row) for row in codes]),
                blank=BLANK,
                zero_infinity=True,
            )
            alike = meaning @ torch.from_numpy(data.meanings[chosen]).T * _SHARPNESS
            own = torch.arange(len(chosen))
            contrast = functional.cross_entropy(alike, own) + functional.cross_entropy(alike.T, own)
            (spelling + weight_of_meaning * contrast).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            total += (spelling.item(), contrast.item())
            if done >= reported + 0.1 or done >= 1:
                errors, near = _measure(model, test)
                mean = total / (step - last)
                print(
                    f"cpu_minutes {(time.process_time() - began) / 60:.1f} steps {step} "
                    f"loss {mean[0]:.3f} {mean[1]:.3f} "
                    f"held-out letter errors {errors:.3f}" + (f" text among five {near:.2f}" if start is None else ""),
                    flush=True,
                )
                torch.save(model.state_dict(), weights)
                reported, last, total = done, step, np.zeros(2)
                if done >= 1:
                    return


def _batches(data: Heard, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Utterances of like length, about _FRAMES frames at a time, in a new order each round."""
    sizes = np.array([len(each) for each in data.states]) * random.uniform(0.9, 1.1, len(data.states))
    order = np.argsort(sizes)
    cuts, first = [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or sizes[order[end]] * (end - first + 1) > _FRAMES:
            cuts.append(order[first:end])
            first = end
    for index in random.permutation(len(cuts)):
        yield cuts[index]


def _stacked(
    states: list[NDArray[np.float16]], random: np.random.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.tensor([len(each) for each in states])
    batch = np.zeros((len(states), int(lengths.max()), states[0].shape[1]), np.float32)
    for row, each in zip(batch, states, strict=True):
        row[: len(each)] = each
        if random is not None and len(each) > 40:
            for _ in range(2):
                start = int(random.integers(0, len(each) - 12))
                row[start : start + int(random.integers(0, 10))] = 0
    padding = torch.arange(batch.shape[1])[None] >= lengths[:, None]
    return torch.from_numpy(batch), lengths, padding


def _measure(model: AdapterNet, test: Heard) -> tuple[float, float]:
    """Letter errors of the best path on held-out voices; how often an utterance's text is among the five nearest."""
    model.eval()
    wrong = letters = 0
    vectors = []
    with torch.no_grad():
        for each, text in zip(test.states[:_LOOKED_AT], test.texts, strict=False):
            written, meaning = model(torch.from_numpy(each.astype(np.float32))[None])
            wrong += distance(best_path(written[0].numpy()), text)
            letters += len(text)
            vectors.append(meaning[0].numpy())
    model.train()
    alike = np.stack(vectors) @ test.meanings[:_LOOKED_AT].T
    before = (alike > np.diag(alike)[:, None]).sum(axis=1)
    return wrong / letters, float((before < 5).mean())
