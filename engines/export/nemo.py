"""NeMo cache-aware streaming FastConformer (arXiv 2312.17279) checkpoints into our graphs.

Made for `.nemo` files that the user has: `sensorium models import nemo FILE NAME --licence SPDX`. Needs the
extra `nemo`, which nothing at run time does. What is written:

    encoder.onnx    features (batch, mels, frames), length (batch,), drop () and the caches of the last step
                    -> encoded (batch, steps, width), encoded_length (batch,) and the caches of the next
    ctc.onnx        encoded -> log_probs (batch, steps, vocabulary + blank); for a CTC head
    predictor.onnx  token (batch, 1) and LSTM states -> predicted (batch, 1, width) and states; for an RNNT head
    joint.onnx      encoded and predicted -> log_probs (batch, steps, 1, vocabulary + blank)
    mel.npz         `window` (n,) and `filters` (mels, bins) of the checkpoint's own preprocessor
    config.json     chunk sizes, vocabulary, language
    golden-*.npz    steps of NeMo's own streaming forward that the graphs must repeat

`drop` is the number of encoder steps that the pre-encode cache gives too much: 0 at a stream's first chunk, which
has no such cache. So one graph repeats NeMo's streaming from the first chunk on.
"""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import FetchError, TensorSpec
from engines.manifest import Checkpoint, Graph, Manifest, Parity
from engines.models import sha256

HEADS = ("rnnt", "ctc")
CACHES = ("cache_channel", "cache_time", "cache_length")
# Largest absolute difference from NeMo's own forward, in every output of every step.
TOLERANCE = 1e-3
# An ONNX file holds at most 2 GiB.
MAX_PARAMETERS = 500_000_000
_OPSET = 17


@dataclass(frozen=True, slots=True)
class NemoOptions:
    """What the user may choose: `head` "" takes RNNT where there is one, `lookahead` None the checkpoint's first.

    `lookahead` counts encoder steps (80 ms with a FastConformer) that a step may look into the future.
    """

    licence: str
    language: str = "en"
    head: str = ""
    lookahead: int | None = None


def export(checkpoint: Path, name: str, options: NemoOptions, out: Path) -> Manifest:
    """Write the model's files into the folder `out`.

    Raises FetchError for a file that is no .nemo, a model that cannot stream with caches, a vocabulary that is not
    SentencePiece's, a head that it has not, and a graph that differs from NeMo.
    """
    model = restore(checkpoint)
    import torch

    if (parameters := sum(p.numel() for p in model.encoder.parameters())) > MAX_PARAMETERS:
        raise FetchError(
            f"the encoder has {parameters} parameters, at most {MAX_PARAMETERS} fit; use a smaller checkpoint"
        )
    head = _choose_head(model, options.head)
    encoder = model.encoder
    _set_lookahead(encoder, options.lookahead)
    _check_streams(model)
    pieces = _pieces(model)
    config = _config(model, head, pieces, options.language)
    (out / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1))
    featurizer = model.preprocessor.featurizer
    np.savez(out / "mel.npz", window=featurizer.window.numpy(), filters=featurizer.fb[0].numpy())
    with torch.no_grad():
        goldens = _export_graphs(model, head, out)
    chained_difference(out, model)
    graphs = tuple(_graph(out / file) for file in goldens)
    recorded = [(golden, graph) for graph, names in goldens.items() for golden in names]
    return Manifest(
        name=name,
        task="speech recognition",
        version=sha256(checkpoint)[:12] + f"-{head}-{encoder.att_context_size[1]}",
        licence=options.licence,
        parameters=sum(p.numel() for p in model.parameters()),
        graph=graphs,
        notes=f"NeMo {type(model).__name__}, cache-aware streaming, {head} head, language {options.language}.",
        checkpoint=Checkpoint(
            file=checkpoint.name,
            sha256=sha256(checkpoint),
            exporter=__name__,
            files=(*goldens, "config.json", "mel.npz", *(golden for golden, _ in recorded)),
        ),
        parity=tuple(Parity(golden, graph, TOLERANCE) for golden, graph in recorded),
    )


def restore(checkpoint: Path) -> Any:
    """NeMo's own model of a .nemo file, without dither and padding. Raises FetchError for another file."""
    if not checkpoint.is_file():
        raise FetchError(f"{checkpoint} is no file; give the path of a .nemo checkpoint")
    if not tarfile.is_tarfile(checkpoint):
        raise FetchError(
            f"{checkpoint.name} is no .nemo checkpoint (a tar archive with model_config.yaml); "
            "save yours with NeMo's model.save_to('NAME.nemo')"
        )
    with tarfile.open(checkpoint) as tar:
        if not any(Path(member).name == "model_config.yaml" for member in tar.getnames()):
            raise FetchError(f"{checkpoint.name} has no model_config.yaml, so it is no .nemo checkpoint")
    try:
        from nemo.collections.asr.models import ASRModel
    except ImportError as error:
        raise FetchError(f"NeMo cannot be imported ({error}); set it up with `make frameworks`") from error
    try:
        model = ASRModel.restore_from(str(checkpoint), map_location="cpu")
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise FetchError(f"NeMo cannot restore {checkpoint.name} as a speech recogniser: {error}") from error
    model.eval()
    model.preprocessor.featurizer.dither = 0.0
    model.preprocessor.featurizer.pad_to = 0
    return model


def _choose_head(model: Any, wanted: str) -> str:
    has = [
        head
        for head, found in (
            ("rnnt", hasattr(model, "joint")),
            ("ctc", hasattr(model, "ctc_decoder") or not hasattr(model, "joint")),
        )
        if found
    ]
    head = wanted or has[0]
    if head not in has:
        raise FetchError(f"head is {wanted!r}, this {type(model).__name__} has {', '.join(has)}; choose one of them")
    if head == "rnnt":
        if getattr(model.joint, "num_extra_outputs", 0):
            raise FetchError("this transducer predicts durations (TDT), which is not supported; use an RNNT checkpoint")
        if type(model.decoder).__name__ != "RNNTDecoder" or not model.decoder.blank_as_pad:
            raise FetchError(
                f"the prediction network is a {type(model.decoder).__name__}, blank_as_pad "
                f"{model.decoder.blank_as_pad}; must be an RNNTDecoder (LSTM) with blank_as_pad"
            )
    return head


def _set_lookahead(encoder: Any, lookahead: int | None) -> None:
    if not hasattr(encoder, "att_context_size_all"):
        raise FetchError(
            f"the encoder is a {type(encoder).__name__}, which cannot stream with caches; use a checkpoint with a "
            "cache-aware ConformerEncoder (NVIDIA names them ...fastconformer..._streaming...)"
        )
    known = encoder.att_context_size_all
    if lookahead is None:
        encoder.setup_streaming_params()
        return
    fitting = [context for context in known if context[-1] == lookahead]
    if not fitting:
        choices = ", ".join(str(context[-1]) for context in known)
        raise FetchError(f"lookahead is {lookahead}, this checkpoint was trained with {choices}; choose one of them")
    encoder.set_default_att_context_size(fitting[0])


def _check_streams(model: Any) -> None:
    encoder, streaming = model.encoder, model.encoder.streaming_cfg
    context, convolution = list(encoder.att_context_size), list(encoder.conv_context_size)
    reasons = []
    if len(context) != 2 or context[0] < 0 or context[1] < 0:
        reasons.append(f"its attention context is {context}, both sides must be finite")
    elif encoder.att_context_style != "chunked_limited" and context[1] > 0:
        reasons.append(f"its attention looks ahead in style {encoder.att_context_style!r}, must be 'chunked_limited'")
    if convolution[1] != 0:
        reasons.append(f"its convolutions look {convolution[1]} steps ahead, must be causal")
    if not getattr(encoder.pre_encode, "is_causal", False):
        reasons.append("its subsampling is not causal (causal_downsampling)")
    if not reasons and streaming.cache_drop_size != 0:
        reasons.append(f"its caches drop {streaming.cache_drop_size} steps a chunk, must be 0")
    normalize = model.cfg.preprocessor.get("normalize")
    if normalize in ("per_feature", "all_features"):
        reasons.append(f"its features are normalised over the whole recording ({normalize}), must be 'NA'")
    if reasons:
        raise FetchError(
            "this checkpoint is not cache-aware: " + "; ".join(reasons) + ". Use a checkpoint that was trained for "
            "cache-aware streaming (NVIDIA names them ...fastconformer..._streaming...)"
        )
    featurizer = model.preprocessor.featurizer
    for name, must in (("sample_rate", 16_000), ("exact_pad", False), ("frame_splicing", 1), ("log", True)):
        if getattr(featurizer, name) != must:
            raise FetchError(f"its features have {name} {getattr(featurizer, name)!r}, must be {must!r}")


def _pieces(model: Any) -> list[str]:
    tokenizer = getattr(model, "tokenizer", None)
    if type(tokenizer).__name__ != "SentencePieceTokenizer":
        found = "characters" if tokenizer is None else type(tokenizer).__name__
        raise FetchError(
            f"the vocabulary is {found}; must be one SentencePiece tokenizer (NeMo's type 'bpe'): "
            "use a ...BPE checkpoint of one tokenizer"
        )
    assert tokenizer is not None
    pieces = list(tokenizer.ids_to_tokens(list(range(tokenizer.vocab_size))))
    classes = model.joint.num_classes_with_blank if hasattr(model, "joint") else model.decoder.num_classes_with_blank
    if classes != len(pieces) + 1:
        raise FetchError(f"the head knows {classes} classes, the tokenizer {len(pieces)} pieces and a blank")
    return pieces


def _pair(value: Any) -> tuple[int, int]:
    """Sizes of the first chunk and of all others."""
    first, other = value if isinstance(value, list) else (value, value)
    return int(first), int(other)


def _config(model: Any, head: str, pieces: list[str], language: str) -> dict[str, Any]:
    featurizer, streaming = model.preprocessor.featurizer, model.encoder.streaming_cfg
    guard = featurizer.log_zero_guard_value_fn(featurizer.fb)
    sampling = getattr(model.encoder.pre_encode, "get_sampling_frames", lambda: 1)()
    greedy = (model.cfg.get("decoding") or {}).get("greedy") or {}
    return {
        "head": head,
        "language": language,
        "pieces": pieces,
        "samples_per_step": int(model.encoder.subsampling_factor * featurizer.hop_length),
        "max_symbols_per_step": int(greedy.get("max_symbols") or 10),
        "mel": {
            "fft": int(featurizer.n_fft),
            "hop": int(featurizer.hop_length),
            "preemphasis": featurizer.preemph,
            "power": float(featurizer.mag_power),
            "zero_guard": float(guard),
            "zero_guard_type": featurizer.log_zero_guard_type,
        },
        "chunk": {
            # Each a pair: the stream's first chunk, all others.
            "frames": _pair(streaming.chunk_size),
            "cached_frames": _pair(streaming.pre_encode_cache_size),
            "min_frames": _pair(sampling),
            "drop_steps": (0, int(streaming.drop_extra_pre_encoded)),
        },
    }


def _signal() -> NDArray[np.float32]:
    """Three and a bit seconds of a swelling, sliding tone in noise: (n,) at 16 kHz."""
    rng = np.random.default_rng(0)
    t = np.arange(52_345) / 16_000
    tone = np.abs(np.sin(2.5 * t)) * np.sin(2 * np.pi * (200 + 150 * t) * t)
    return (0.3 * tone + 0.02 * rng.standard_normal(len(t))).astype(np.float32)


def _steps(model: Any) -> Iterator[dict[str, Any]]:
    """NeMo's own cache-aware streaming of `_signal`: torch feeds and results of every chunk."""
    import torch
    from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer

    buffer = CacheAwareStreamingAudioBuffer(model)
    features, length = buffer.preprocess_audio(_signal())
    buffer.append_processed_signal(features[:, :, : int(length)])
    encoder = model.encoder
    caches = encoder.get_initial_cache_state(batch_size=1)
    usual_drop = encoder.streaming_cfg.drop_extra_pre_encoded
    for index, (chunk, lengths) in enumerate(buffer):
        drop = usual_drop if index else 0
        before = caches
        encoded, steps, *caches = encoder.cache_aware_stream_step(
            processed_signal=chunk,
            processed_signal_length=lengths,
            cache_last_channel=before[0],
            cache_last_time=before[1],
            cache_last_channel_len=before[2],
            keep_all_outputs=True,
            drop_extra_pre_encoded=drop,
        )
        yield {
            "in:features": chunk,
            "in:length": lengths.to(torch.int64),
            "in:drop": torch.tensor(drop),
            "in:cache_channel": before[0].transpose(0, 1),
            "in:cache_time": before[1].transpose(0, 1),
            "in:cache_length": before[2],
            "out:encoded": encoded.transpose(1, 2),
            "out:encoded_length": steps,
            "out:cache_channel_next": caches[0].transpose(0, 1),
            "out:cache_time_next": caches[1].transpose(0, 1),
            "out:cache_length_next": caches[2],
        }


def _numpy(tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: tensor.contiguous().numpy() for name, tensor in tensors.items()}


def _export_graphs(model: Any, head: str, out: Path) -> dict[str, list[str]]:
    """Write the graphs and golden files; graph -> its golden files."""
    steps = list(_steps(model))
    goldens: dict[str, list[str]] = {"encoder.onnx": []}
    # The first chunk has no cache before it, the last one is short.
    for label, index in (("first", 0), ("second", 1), ("last", -1)):
        golden = f"golden-encoder-{label}.npz"
        np.savez_compressed(out / golden, allow_pickle=False, **_numpy(steps[index]))
        goldens["encoder.onnx"].append(golden)
    second = steps[1]
    _trace(
        _streaming_encoder(model.encoder),
        {name[3:]: second[name] for name in second if name.startswith("in:")},
        [name[4:] for name in second if name.startswith("out:")],
        {"features": {0: "batch", 2: "frames"}, "encoded": {0: "batch", 1: "steps"}},
        out / "encoder.onnx",
    )
    encoded = second["out:encoded"]
    if head == "ctc":
        decoder = model.ctc_decoder if hasattr(model, "ctc_decoder") else model.decoder
        _head(_ctc(decoder), {"encoded": encoded}, ["log_probs"], out / "ctc.onnx", goldens)
        return goldens
    import torch

    state_h, state_c = model.decoder.initialize_state(encoded)
    token = torch.tensor([[1]])
    predictor = {"token": token, "state_h": state_h.transpose(0, 1), "state_c": state_c.transpose(0, 1)}
    names = ["predicted", "state_h_next", "state_c_next"]
    results = _head(_predictor(model.decoder), predictor, names, out / "predictor.onnx", goldens)
    joint = {"encoded": encoded, "predicted": results["predicted"]}
    _head(_joint(model.joint), joint, ["log_probs"], out / "joint.onnx", goldens)
    return goldens


def _head(
    module: Any, feeds: Mapping[str, Any], outputs: list[str], file: Path, goldens: dict[str, list[str]]
) -> dict[str, Any]:
    results = module(*feeds.values())
    results = dict(zip(outputs, results if isinstance(results, tuple) else (results,), strict=True))
    golden = f"golden-{file.stem}.npz"
    recorded = {f"in:{n}": v for n, v in feeds.items()} | {f"out:{n}": v for n, v in results.items()}
    np.savez_compressed(file.parent / golden, allow_pickle=False, **_numpy(recorded))
    goldens[file.name] = [golden]
    axes: dict[str, dict[int, str]] = {
        name: {0: "batch", 1: "steps"} for name in ("encoded", "log_probs") if name in (*feeds, *outputs)
    }
    _trace(module, feeds, outputs, axes, file)
    return results


def _trace(
    module: Any, feeds: Mapping[str, Any], outputs: list[str], axes: Mapping[str, Mapping[int, str]], file: Path
) -> None:
    import warnings

    import torch

    batched = {name: {0: "batch"} for name in (*feeds, *outputs) if name != "drop"}
    with warnings.catch_warnings():
        # The tracer says of every branch that it will be constant: the golden files judge the result.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(feeds.values()),
            str(file),
            input_names=list(feeds),
            output_names=outputs,
            dynamic_axes={**batched, **axes},
            opset_version=_OPSET,
            dynamo=False,
        )


def _streaming_encoder(encoder: Any) -> Any:
    import torch

    class StreamingEncoder(torch.nn.Module):
        """One step of the encoder, batch first, with the number of steps to drop as an input."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(
            self, features: Any, length: Any, drop: Any, cache_channel: Any, cache_time: Any, cache_length: Any
        ) -> Any:
            usual = encoder.streaming_cfg.drop_extra_pre_encoded
            encoder.streaming_cfg.drop_extra_pre_encoded = drop
            results = encoder.forward_internal(
                features, length, cache_channel.transpose(0, 1), cache_time.transpose(0, 1), cache_length
            )
            encoded, steps, channel, time, kept = encoder.streaming_post_process(results, keep_all_outputs=True)
            encoder.streaming_cfg.drop_extra_pre_encoded = usual
            return encoded.transpose(1, 2), steps, channel.transpose(0, 1), time.transpose(0, 1), kept

    return StreamingEncoder().eval()


def _ctc(decoder: Any) -> Any:
    import torch

    class Ctc(torch.nn.Module):
        """Log-probabilities of every step."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = decoder.decoder_layers

        def forward(self, encoded: Any) -> Any:
            return torch.log_softmax(self.layers(encoded.transpose(1, 2)).transpose(1, 2), dim=-1)

    return Ctc().eval()


def _predictor(decoder: Any) -> Any:
    import torch

    class Predictor(torch.nn.Module):
        """One step of the prediction network; the blank's embedding is the start of a stream."""

        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, token: Any, state_h: Any, state_c: Any) -> Any:
            states = [state_h.transpose(0, 1), state_c.transpose(0, 1)]
            predicted, (next_h, next_c) = self.decoder.predict(token, states, add_sos=False)
            return predicted, next_h.transpose(0, 1), next_c.transpose(0, 1)

    return Predictor().eval()


def _joint(joint: Any) -> Any:
    import torch

    class Joint(torch.nn.Module):
        """Log-probabilities of what follows, for every step."""

        def __init__(self) -> None:
            super().__init__()
            self.joint = joint

        def forward(self, encoded: Any, predicted: Any) -> Any:
            scores = self.joint.joint_after_projection(
                self.joint.project_encoder(encoded), self.joint.project_prednet(predicted)
            )
            return torch.log_softmax(scores, dim=-1)

    return Joint().eval()


def chained_difference(out: Path, model: Any) -> float:
    """Largest difference of encoded steps from NeMo's when the graph in `out` streams on its own caches.

    Raises FetchError when it is above the tolerance.
    """
    engine = OnnxRuntimeEngine(out / "encoder.onnx")
    caches: dict[str, NDArray[Any]] = {}
    worst = 0.0
    import torch

    with torch.no_grad():
        recorded = [_numpy(step) for step in _steps(model)]
    for step in recorded:
        feeds = {name[3:]: value for name, value in step.items() if name.startswith("in:")} | caches
        results = engine.run(feeds)
        caches = {name: results[f"{name}_next"] for name in CACHES}
        worst = max(worst, float(np.abs(results["encoded"] - step["out:encoded"]).max(initial=0.0)))
    if not worst <= TOLERANCE:
        raise FetchError(
            f"encoder.onnx drifts from NeMo's streaming by {worst:.2e} over {len(recorded)} chunks, "
            f"at most {TOLERANCE:.0e} is allowed"
        )
    return worst


def _graph(file: Path) -> Graph:
    engine = OnnxRuntimeEngine(file)

    def named(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        # The tracer gives odd names to axes that it could not follow.
        free = ("batch", "frames", "steps")
        return tuple(
            TensorSpec(s.name, s.dtype, tuple(a if isinstance(a, int) or a in free else "fixed" for a in s.shape))
            for s in specs
        )

    return Graph(file.name, named(engine.inputs), named(engine.outputs))
