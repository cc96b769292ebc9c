"""SmolLM2-135M-Instruct: GGUF -> decoder.onnx, embeddings.npy, tokenizer.json.

Developers remake the golden file with `python -m engines.export.smollm2 PATH_OF_THE_GGUF`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from engines.export.llama import Gguf, build, reference_logits

_GOLDEN = Path(__file__).parent / "golden" / "smollm2-135m-instruct.npz"
_GOLDEN_TEXT = "<|im_start|>user\nWho owns the release checklist?<|im_end|>\n<|im_start|>assistant\nLena owns the"
# GGUF token types: 3 control, 4 user defined
_SPECIAL_TYPES = (3, 4)


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write the model's three files into folder `out`."""
    (path,) = sources.values()
    source = Gguf(path)
    onnx.save(build(source), out / "decoder.onnx")
    np.save(out / "embeddings.npy", source.weight("token_embd.weight").astype(np.float16))
    tokenizer(source).save(str(out / "tokenizer.json"), pretty=False)


def tokenizer(source: Gguf) -> Tokenizer:
    """The byte-level BPE of the GGUF; digits stand alone, as in its training."""
    tokens: list[str] = source.field("tokenizer.ggml.tokens")
    merges: list[str] = source.field("tokenizer.ggml.merges")
    types: list[int] = source.field("tokenizer.ggml.token_type")
    made = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[(left, right) for left, right in (merge.split(" ") for merge in merges)],
        )
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind in _SPECIAL_TYPES
        ]
    )
    return made


def write_golden(path: Path) -> None:
    """Run the float32 reference once and keep what the graph must repeat."""
    source = Gguf(path)
    ids = tokenizer(source).encode(_GOLDEN_TEXT).ids
    embeddings = source.weight("token_embd.weight")[ids].astype(np.float16).astype(np.float32)
    shape = source.shape
    empty = np.zeros((1, shape.kv_heads, 0, shape.head_dim), np.float16)
    arrays = {
        "in:inputs_embeds": embeddings[None],
        "in:seqlens_k": np.array([len(ids) - 1], np.int32),
        "in:total_length": np.array(len(ids), np.int32),
        "in:logit_rows": np.array([len(ids) - 1], np.int64),
        "out:logits": reference_logits(source, embeddings)[None, -1:],
    }
    for i in range(shape.layers):
        arrays |= {f"in:past_key.{i}": empty, f"in:past_value.{i}": empty}
    np.savez_compressed(_GOLDEN, **arrays)  # type: ignore[arg-type]  # its stub takes **arrays for allow_pickle


if __name__ == "__main__":
    write_golden(Path(sys.argv[1]))
