"""The network that compares the controls of a page: a small CNN on each, then two layers of attention over all."""

import torch
from torch import Tensor, nn

from services.vision.control_states import GIVEN, VIEW

_WIDTHS, _NARROW, _MODEL, _HEADS, _LAYERS = (8, 16, 32), 16, 64, 4, 2


class _Attention(nn.Module):
    """Pre-norm attention and feed-forward (Vaswani et al. 2017), written out so that it exports as plain products."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(_MODEL), nn.LayerNorm(_MODEL)
        self.project, self.join = nn.Linear(_MODEL, 3 * _MODEL), nn.Linear(_MODEL, _MODEL)
        self.forth, self.back = nn.Linear(_MODEL, 2 * _MODEL), nn.Linear(2 * _MODEL, _MODEL)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """(b, n, 64); `hidden` (b, n) is true where there is no control, None where there is one everywhere."""
        parts = self.project(self.before(x)).unflatten(-1, (3 * _HEADS, _MODEL // _HEADS)).transpose(1, 2)
        query, key, value = parts.split(_HEADS, 1)
        scores = query @ key.transpose(2, 3) / (_MODEL // _HEADS) ** 0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden[:, None, None], -1e4)
        weights = scores.softmax(-1)
        x = x + self.join((weights @ value).transpose(1, 2).flatten(2))
        return x + self.back(torch.relu(self.forth(self.between(x))))


class StateNetwork(nn.Module):
    """Views of controls and what is given of them -> logits of disabled and focused."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, out in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(inside, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.look = nn.Sequential(*layers, nn.Conv2d(_WIDTHS[-1], _NARROW, 1), nn.ReLU(), nn.Flatten())
        self.flat = nn.Linear(_NARROW * VIEW[0] * VIEW[1] // 64, _MODEL)
        self.given = nn.Linear(GIVEN, _MODEL)
        self.layers = nn.ModuleList(_Attention() for _ in range(_LAYERS))
        self.norm, self.out, self.head = nn.LayerNorm(_MODEL), nn.Linear(2 * _MODEL, _MODEL), nn.Linear(_MODEL, 2)

    def forward(self, views: Tensor, given: Tensor, hidden: Tensor) -> Tensor:
        """(m, 3, 32, 160) in 0..255 of the m controls that are not `hidden` (b, n), given (b, n, 15) -> (b, n, 2)."""
        seen = given.new_zeros(*hidden.shape, _MODEL)
        seen[~hidden] = self.flat(self.look(views / 128 - 1))
        return self.compare(seen, given, hidden)

    def compare(self, seen: Tensor, given: Tensor, hidden: Tensor | None) -> Tensor:
        """(b, n, 64) of what each looks like -> logits (b, n, 2)."""
        alone = torch.relu(seen + self.given(given))
        x = alone
        for layer in self.layers:
            x = layer(x, hidden)
        return self.head(torch.relu(self.out(torch.cat([alone, self.norm(x)], -1))))


class OnePage(nn.Module):
    """The network as the service calls it: one page, probabilities."""

    def __init__(self, network: StateNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, views: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 32, 160) and (n, 15) -> disabled (n,), focused (n,); at most one is focused: they sum to 1 at most."""
        seen = self.network.flat(self.network.look(views / 128 - 1))[None]
        logits = self.network.compare(seen, given[None], None)[0]
        # TensorRT takes no softmax of one dimension.
        focused = torch.cat([logits[:1, 1] * 0, logits[:, 1]])[None].softmax(1)[0, 1:]
        return logits[:, 0].sigmoid(), focused
