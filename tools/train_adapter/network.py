"""Hidden states of a recogniser's encoder -> letters at each moment, and one point in MiniLM's space for all."""

from torch import Tensor, nn
from torch.nn import functional

from services.runtime.spelling import LETTERS

_WIDTH, _REACH, _HEADS, _MEANING = 256, 5, 4, 384


class AdapterNet(nn.Module):
    """(b, s, width) states -> (b, s, 29) log-probabilities of LETTERS and (b, 384) of length 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.LayerNorm(width)
        self.first = nn.Conv1d(width, _WIDTH, _REACH, padding=_REACH // 2)
        self.second = nn.Conv1d(_WIDTH, _WIDTH, _REACH, padding=_REACH // 2)
        self.between, self.end = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.letters = nn.Linear(_WIDTH, len(LETTERS))
        self.attention = nn.Linear(_WIDTH, _HEADS)
        self.meaning = nn.Linear(_WIDTH * _HEADS, _MEANING)
        self.dropout = nn.Dropout(0.1)

    def forward(self, states: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`padding` (b, s) is True where a row of a batch has ended."""
        x = self.dropout(self.scale(states))
        x = functional.gelu(self.between(self.first(x.transpose(1, 2)).transpose(1, 2)))
        x = x + functional.gelu(self.second(self.dropout(x).transpose(1, 2)).transpose(1, 2))
        x = self.dropout(self.end(x))
        weights = self.attention(x)
        if padding is not None:
            weights = weights.masked_fill(padding[..., None], -1e4)
        pooled = (weights.softmax(dim=1).transpose(1, 2) @ x).flatten(1)
        meaning = functional.normalize(self.meaning(pooled), dim=1)
        return functional.log_softmax(self.letters(x), dim=2), meaning
