"""Agglomerative clustering with average linkage on cosine similarity, under cannot-link constraints."""

import numpy as np
from numpy.typing import NDArray

# Less than any cosine.
NEVER = -2.0


def average_linkage(
    sums: NDArray[np.float32], weights: list[float], owners: list[int], threshold: float
) -> list[list[int]]:
    """Groups of node indices whose mean similarity is at least `threshold`, in order of their first node.

    Nodes, (nodes, dimension), are weighted sums of unit vectors, so the product of two sums over the product of
    their weights is the mean cosine between their members. Nodes of one owner are never joined.
    """
    count = len(weights)
    groups: list[list[int]] = [[index] for index in range(count)]
    if count < 2:
        return groups
    total = sums.astype(np.float64)
    weight = np.array(weights)
    owner = np.array(owners)
    apart = owner[:, None] == owner[None, :]
    dot = total @ total.T
    alive = np.ones(count, np.bool_)
    similarity = np.where(apart, NEVER, dot / np.outer(weight, weight))
    while True:
        a, b = sorted(divmod(int(similarity.argmax()), count))
        if similarity[a, b] < threshold:
            break
        groups[a] = sorted(groups[a] + groups[b])
        weight[a] += weight[b]
        dot[a] += dot[b]
        dot[:, a] += dot[:, b]
        apart[a] |= apart[b]
        apart[:, a] |= apart[:, b]
        alive[b] = False
        row = np.where(apart[a] | ~alive, NEVER, dot[a] / (weight[a] * weight))
        similarity[a], similarity[:, a] = row, row
        similarity[b], similarity[:, b] = NEVER, NEVER
    return sorted((group for group, is_alive in zip(groups, alive, strict=True) if is_alive), key=lambda g: g[0])
