"""Agglomerative clustering with average linkage on cosine similarity, where some pairs are joined less easily."""

import numpy as np
from numpy.typing import NDArray

# Less than any cosine.
_NEVER = -np.inf


def average_linkage(
    sums: NDArray[np.float32],
    weights: list[float],
    doubt: NDArray[np.float64],
    threshold: float,
    light: tuple[float, float] = (0.0, 0.0),
) -> list[list[int]]:
    """Groups of node indices whose mean similarity is at least `threshold`, in order of their first node.

    Nodes, (nodes, dimension), are weighted sums of unit vectors, so the product of two sums over the product of
    their weights is the mean cosine between their members. `doubt`, (nodes, nodes), is taken off the similarity of
    two nodes, and groups inherit the largest of their members'; infinity keeps them apart. `light` is a weight and
    what is added to the similarity of a group lighter than that, whose vector is noisier.
    """
    count = len(weights)
    groups: list[list[int]] = [[index] for index in range(count)]
    if count < 2:
        return groups
    total = sums.astype(np.float64)
    weight = np.array(weights)
    doubt = doubt.copy()
    np.fill_diagonal(doubt, np.inf)
    dot = total @ total.T
    alive = np.ones(count, np.bool_)
    bonus = np.where(np.minimum.outer(weight, weight) < light[0], light[1], 0.0)
    similarity = dot / np.outer(weight, weight) - doubt + bonus
    while True:
        a, b = sorted(divmod(int(similarity.argmax()), count))
        if similarity[a, b] < threshold:
            break
        groups[a] = sorted(groups[a] + groups[b])
        weight[a] += weight[b]
        dot[a] += dot[b]
        dot[:, a] += dot[:, b]
        doubt[a] = np.maximum(doubt[a], doubt[b])
        doubt[:, a] = doubt[a]
        alive[b] = False
        row = dot[a] / (weight[a] * weight) - doubt[a]
        row += np.where(np.minimum(weight[a], weight) < light[0], light[1], 0.0)
        row[~alive] = _NEVER
        similarity[a], similarity[:, a] = row, row
        similarity[b], similarity[:, b] = _NEVER, _NEVER
    return sorted((group for group, is_alive in zip(groups, alive, strict=True) if is_alive), key=lambda g: g[0])
