"""Fit the router's heads: logistic regression on MiniLM embeddings of generated questions, then one temperature each.

Half a minute on one thread. The L2 weight and the temperatures are chosen on the split "dev"; "test" is not read here
(`python -m benchmarks.router` reports on it).
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from engines.fetch import fetch
from services.decoder.router import EXPERTS, PERIODS, SCOPES, TIERS, WEIGHTS
from services.runtime.sentence import SentenceEncoder
from tools.train_router.questions import Asked, questions

Double = NDArray[np.float64]
L2_CHOICES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)


def main() -> None:
    """Train and write the heads."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_router", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--questions", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    flags = parser.parse_args()
    fetch(["minilm"])
    encoder = SentenceEncoder()
    train = questions("train", flags.questions, flags.seed)
    dev = questions("dev", 800, flags.seed)
    x, x_dev = (encoder.encode([a.text for a in asked]).astype(np.float64) for asked in (train, dev))
    weights, bias = [], []
    for name, loss, targets in _heads():
        y, y_dev = targets(train), targets(dev)
        fitted = [(_fit(x, y, loss, l2), l2) for l2 in L2_CHOICES]
        tempered = [(*_temper(x_dev @ w + b, y_dev, loss), w, b, l2) for (w, b), l2 in fitted]
        nll, temperature, w, b, l2 = min(tempered, key=lambda found: found[0])
        print(f"{name}: dev loss {nll:.4f}, temperature {temperature:.2f}, L2 {l2:g}")
        weights.append(w / temperature)
        bias.append(b / temperature)
    np.savez_compressed(
        flags.out,
        weights=np.concatenate(weights, axis=1).astype(np.float32),
        bias=np.concatenate(bias).astype(np.float32),
    )


# Mean negative log-likelihood and its gradient by the logits, of logits (n, k) and targets (n, k).
Loss = Callable[[Double, Double], tuple[float, Double]]


def _heads() -> Sequence[tuple[str, Loss, Callable[[Sequence[Asked]], Double]]]:
    def one_hot(kinds: Sequence[str], of: Callable[[Asked], str]) -> Callable[[Sequence[Asked]], Double]:
        return lambda asked: np.array([[float(of(a) == kind) for kind in kinds] for a in asked])

    def experts(asked: Sequence[Asked]) -> Double:
        return np.array([[float(name in a.experts) for name in EXPERTS] for a in asked])

    return [
        ("experts", _binary, experts),
        ("scope", _categorical, one_hot(SCOPES, lambda a: a.scope)),
        ("period", _categorical, one_hot(PERIODS, lambda a: a.period)),
        ("tier", _binary, one_hot(TIERS[1:], lambda a: a.tier)),
    ]


def _binary(logits: Double, targets: Double) -> tuple[float, Double]:
    losses = np.logaddexp(0, logits) - targets * logits
    return float(losses.sum(axis=1).mean()), (1 / (1 + np.exp(-logits)) - targets) / len(logits)


def _categorical(logits: Double, targets: Double) -> tuple[float, Double]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    norm = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(targets * (shifted - norm)).sum(axis=1).mean()), (np.exp(shifted - norm) - targets) / len(logits)


def _fit(x: Double, y: Double, loss: Loss, l2: float) -> tuple[Double, Double]:
    rows, width, kinds = len(x), x.shape[1], y.shape[1]
    wide = np.concatenate([x, np.ones((rows, 1))], axis=1)

    def objective(flat: Double) -> tuple[float, Double]:
        w = flat.reshape(width + 1, kinds)
        value, slope = loss(wide @ w, y)
        gradient = wide.T @ slope
        gradient[:-1] += l2 * w[:-1]
        return value + l2 / 2 * float((w[:-1] ** 2).sum()), gradient.ravel()

    start = np.zeros((width + 1) * kinds)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    w = found.reshape(width + 1, kinds)
    return w[:-1], w[-1]


def _temper(logits: Double, y: Double, loss: Loss) -> tuple[float, float]:
    """The least loss over temperatures, and its temperature (Guo et al. 2017)."""
    found = minimize_scalar(lambda t: loss(logits / np.exp(t), y)[0], bounds=(-2, 3), method="bounded")
    return float(found.fun), float(np.exp(found.x))


if __name__ == "__main__":
    main()
