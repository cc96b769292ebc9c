"""all-MiniLM-L6-v2: the tokenizer beside the graph.

The package with the graph has no tokenizer, and the packages that have it bring 83 MB of weights
with it. So the vocabulary is kept here: bert_uncased_vocab.txt is the published WordPiece list of
BERT uncased (google-research/bert, Apache-2.0), which this model uses unchanged.
"""

from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

_VOCABULARY = Path(__file__).parent / "bert_uncased_vocab.txt"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write tokenizer.json into folder `out`."""
    tokenizer().save(str(out / "tokenizer.json"), pretty=False)


def tokenizer() -> Tokenizer:
    """BERT's uncased WordPiece with [CLS] and [SEP] around."""
    vocabulary = {token: i for i, token in enumerate(_VOCABULARY.read_text("utf-8").splitlines())}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return made
