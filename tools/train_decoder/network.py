"""The reader in torch: a frozen MiniLM whose linear maps get low-rank changes, and two small heads."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS, HEADS, WIDTH = 6, 12, 384
RANK, SCALE = 32, 2.0
DROPOUT = 0.1
LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


class Adapted(nn.Module):
    """y = (W + SCALE B A) x + b with W and b frozen. A begins random, B at zero: no change at first."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.weight, self.bias = weight, bias
        self.down = nn.Parameter(torch.randn(RANK, columns) / math.sqrt(columns))
        self.up = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, x: Tensor) -> Tensor:
        """(..., columns) bfloat16 -> (..., rows) bfloat16."""
        change = functional.linear(functional.linear(x, self.down.bfloat16()), self.up.bfloat16())
        return functional.linear(x, self.weight, self.bias) + SCALE * change


class Reader(nn.Module):
    """`base` holds the float weights by their BERT names (engines.export.reader.base_weights)."""

    def __init__(self, base: dict[str, Tensor]) -> None:
        super().__init__()
        self.base = {name: value.float() for name, value in base.items()}
        self.low = {name: value.bfloat16() for name, value in base.items() if "LayerNorm" not in name}
        self.linears = nn.ModuleDict()
        for layer in range(LAYERS):
            for name in LINEARS:
                full = f"encoder.layer.{layer}.{name}"
                adapted = Adapted(self.low[f"{full}.weight"], self.low[f"{full}.bias"])
                self.linears[full.replace(".", "-")] = adapted
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.evidence = nn.Linear(WIDTH, 1)
        self.span = nn.Linear(WIDTH, 2)

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(n, t) ids, 0/1 types, bool mask -> evidence (n,) and begin/end logits (n, t, 2)."""
        base = self.base
        n, t = ids.shape
        # only real tokens go through the linear maps; attention alone sees the padding, masked
        real = mask.reshape(-1).nonzero().squeeze(-1)
        positions = torch.arange(t).repeat(n)[real]
        x = base["embeddings.word_embeddings.weight"][ids.reshape(-1)[real]]
        x = x + base["embeddings.token_type_embeddings.weight"][types.reshape(-1)[real]]
        x = x + base["embeddings.position_embeddings.weight"][positions]
        x = self._dropped(self._norm(x, "embeddings.LayerNorm"))
        hidden = torch.where(mask, 0.0, -1e4)[:, None, None, :]
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            seen = self._dropped(self._attend(x, at, real, hidden).float())
            x = self._norm(x + seen, f"{at}.attention.output.LayerNorm")
            inner = functional.gelu(self._linear(x.bfloat16(), f"{at}.intermediate.dense"))
            inner = self._dropped(self._linear(inner, f"{at}.output.dense").float())
            x = self._norm(x + inner, f"{at}.output.LayerNorm")
        first = self._dropped(x[positions == 0])
        logit = self.evidence(torch.tanh(self.hidden(first))).squeeze(-1)
        spans = torch.zeros(n * t, 2).index_copy(0, real, self.span(x)).view(n, t, 2)
        return cast(Tensor, logit), spans

    def _linear(self, x: Tensor, name: str) -> Tensor:
        key = name.replace(".", "-")
        if key not in self.linears:
            return functional.linear(x, self.low[f"{name}.weight"], self.low[f"{name}.bias"])
        return cast(Tensor, self.linears[key](x))

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, DROPOUT, self.training)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (WIDTH,), self.base[f"{name}.weight"], self.base[f"{name}.bias"], 1e-12)

    def _attend(self, x: Tensor, at: str, real: Tensor, hidden: Tensor) -> Tensor:
        n, _, _, t = hidden.shape
        low = x.bfloat16()

        def heads(part: str) -> Tensor:
            wide = self._linear(low, f"{at}.attention.self.{part}").float()
            padded = torch.zeros(n * t, WIDTH).index_copy(0, real, wide)
            return padded.view(n, t, HEADS, -1).transpose(1, 2)

        # torch's fused attention is several times slower backwards in bfloat16 on a processor
        scores = heads("query") @ heads("key").transpose(2, 3) / math.sqrt(WIDTH // HEADS) + hidden
        mixed = scores.softmax(-1) @ heads("value")
        packed = mixed.transpose(1, 2).reshape(n * t, WIDTH)[real]
        return self._linear(packed.bfloat16(), f"{at}.attention.output.dense")
