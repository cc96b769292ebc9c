"""Tiny FastConformers of NeMo's real classes with random weights, saved as .nemo."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[3]
HEADS = {"hybrid": "EncDecHybridRNNTCTCBPEModel", "rnnt": "EncDecRNNTBPEModel", "ctc": "EncDecCTCModelBPE"}
LANGUAGE = "en"

PREPROCESSOR = {
    "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
    "sample_rate": 16_000,
    "normalize": "NA",
    "window_size": 0.025,
    "window_stride": 0.01,
    "window": "hann",
    "features": 80,
    "n_fft": 512,
    "dither": 1e-5,
    "pad_to": 0,
}
ENCODER = {
    "_target_": "nemo.collections.asr.modules.ConformerEncoder",
    "feat_in": 80,
    "feat_out": -1,
    "n_layers": 2,
    "d_model": 48,
    "subsampling": "dw_striding",
    "subsampling_factor": 8,
    "subsampling_conv_channels": 16,
    "causal_downsampling": True,
    "att_context_size": [[28, 3], [28, 1], [28, 0]],
    "att_context_style": "chunked_limited",
    "n_heads": 4,
    "xscaling": False,
    "pos_emb_max_len": 500,
    "conv_kernel_size": 9,
    "conv_norm_type": "layer_norm",
    "conv_context_size": "causal",
}
CTC = {"_target_": "nemo.collections.asr.modules.ConvASRDecoder", "feat_in": 48, "num_classes": -1, "vocabulary": []}
RNNT = {
    "model_defaults": {"enc_hidden": 48, "pred_hidden": 32, "joint_hidden": 32},
    "decoder": {
        "_target_": "nemo.collections.asr.modules.RNNTDecoder",
        "normalization_mode": None,
        "random_state_sampling": False,
        "blank_as_pad": True,
        "prednet": {"pred_hidden": 32, "pred_rnn_layers": 2, "t_max": None, "dropout": 0.2},
    },
    "joint": {
        "_target_": "nemo.collections.asr.modules.RNNTJoint",
        "log_softmax": None,
        "preserve_memory": False,
        "fuse_loss_wer": False,
        "jointnet": {"joint_hidden": 32, "activation": "relu", "dropout": 0.2},
    },
    "decoding": {"strategy": "greedy", "greedy": {"max_symbols": 4}},
    "loss": {"loss_name": "default"},
}


@pytest.fixture(scope="session")
def speech(speech_s16: NDArray[np.int16]) -> NDArray[np.float32]:
    """The five seconds of speech as stages get them: (n,) float32."""
    return (speech_s16 / 32_768).astype(np.float32)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of some hundred pieces, of our own documents: folder."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("tokenizer")
    text = " ".join(path.read_text().lower() for path in sorted((ROOT / "docs/decisions").glob("*.md")))
    (folder / "text.txt").write_text("\n".join(text.split("\n")))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=160,
        model_type="bpe",
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    (folder / "vocab.txt").write_text("\n".join(pieces.id_to_piece(i) for i in range(1, pieces.get_piece_size())))
    return folder


Configure = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def configuration(tokenizer: Path) -> Configure:
    """Settings of a model: configuration("ctc", encoder={...}, preprocessor={...}) changes single keys."""

    def configure(kind: str, encoder: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "sample_rate": 16_000,
            "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
            "preprocessor": PREPROCESSOR | other.pop("preprocessor", {}),
            "encoder": ENCODER | (encoder or {}),
        }
        if kind == "ctc":
            settings |= {"decoder": CTC}
        else:
            settings |= RNNT
        if kind == "hybrid":
            settings |= {"aux_ctc": {"ctc_loss_weight": 0.3, "decoder": CTC, "decoding": {"strategy": "greedy"}}}
        return copy.deepcopy(settings | other)

    return configure


Save = Callable[..., Path]


@pytest.fixture(scope="session")
def save(configuration: Configure, speech: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Save:
    """save("rnnt", ...) makes a model with random weights and gives the path of its .nemo."""

    def make(kind: str, name: str = "", **changes: Any) -> Path:
        import torch
        from nemo.collections.asr import models
        from omegaconf import OmegaConf

        torch.set_num_threads(1)
        torch.manual_seed(1)
        model = getattr(models, name or HEADS[kind])(cfg=OmegaConf.create(configuration(kind, **changes)))
        _spread(model.eval(), speech)
        path = tmp_path_factory.mktemp("checkpoints") / f"{kind}.nemo"
        model.save_to(str(path))
        return path

    return make


def _spread(model: Any, speech: NDArray[np.float32]) -> None:
    """Random heads give every sound the same piece: move and widen the scores so that all pieces and blanks come up."""
    import torch

    with torch.no_grad():
        features, length = model.preprocessor(
            input_signal=torch.from_numpy(speech[None]), length=torch.tensor([len(speech)])
        )
        encoded, _ = model.encoder(audio_signal=features, length=length)
        if hasattr(model, "joint"):
            joint = model.joint
            hidden = joint.project_encoder(encoded.transpose(1, 2))
            _widen(joint.joint_net[-1], torch.relu(hidden), blank_bonus=4.0)
        ctc = getattr(model, "ctc_decoder", None) or (None if hasattr(model, "joint") else model.decoder)
        if ctc is not None:
            convolution = ctc.decoder_layers[0]
            _widen(convolution, encoded.transpose(1, 2), blank_bonus=3.0)


def _widen(layer: Any, inputs: Any, blank_bonus: float) -> None:
    import torch

    weight = layer.weight.reshape(layer.weight.shape[0], -1)
    scores = inputs @ weight.T
    factor = 3.0 / scores.std(dim=1).mean()
    layer.weight.mul_(factor)
    layer.bias.copy_(-(scores * factor).mean(dim=(0, 1)))
    layer.bias[-1] += blank_bonus
    assert torch.isfinite(layer.bias).all()


@pytest.fixture(scope="session")
def checkpoints(save: Save) -> dict[str, Path]:
    """One .nemo of each class: hybrid, rnnt, ctc."""
    return {kind: save(kind) for kind in HEADS}


@pytest.fixture(scope="session")
def brought(cache: Path, checkpoints: dict[str, Path]) -> dict[str, str]:
    """The checkpoints imported: head of the hybrid, or class -> name of the model."""
    from tools.models import bring_nemo

    names = {}
    for label, kind, head in (
        ("hybrid-rnnt", "hybrid", "rnnt"),
        ("hybrid-ctc", "hybrid", "ctc"),
        ("rnnt", "rnnt", ""),
        ("ctc", "ctc", ""),
    ):
        names[label] = bring_nemo(checkpoints[kind], f"tiny-{label}", "CC0-1.0", LANGUAGE, head, 1).name
    return names


@pytest.fixture(scope="session")
def monologue(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Forty seconds without a pause: the loud parts of the speech again and again."""
    frames = speech[: len(speech) // 1600 * 1600].reshape(-1, 1600)
    loud = frames[np.sqrt((frames**2).mean(axis=1)) > 0.03].reshape(-1)
    return np.tile(loud, -(-16_000 * 40 // len(loud)))[: 16_000 * 40]
