"""A graph whose products are in eight bits, as ONNX Runtime computes them fast on a processor with VNNI.

ONNX Runtime's own static quantisation (onnxruntime.quantization): what goes into a product and what comes out of it are
unsigned with a zero point, weights signed for each output channel. Ranges are found on recordings by
tools/calibrate.py.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

_OPERATORS = ["Conv", "MatMul", "Gemm"]
Feeds = Mapping[str, NDArray[np.generic]]


def spans(graph: Path, feeds: Sequence[Feeds]) -> dict[str, list[float]]:
    """The least and the largest of every value that goes into or comes out of a product, on the feeds."""
    with tempfile.TemporaryDirectory() as folder:
        augmented = str(Path(folder) / "augmented.onnx")
        calibrator = create_calibrator(
            graph, _OPERATORS, augmented_model_path=augmented, providers=["CPUExecutionProvider"]
        )
        calibrator.collect_data(_Reader(feeds))
        found = calibrator.compute_data()
    return {name: [float(f"{np.asarray(end).item():.6g}") for end in data.range_value] for name, data in found.items()}


def in_eight_bits(model: onnx.ModelProto, ranges: Mapping[str, Sequence[float]]) -> onnx.ModelProto:
    """The same graph, opset 13 or later, in eight bits; `ranges` as `spans` gives them.

    Raises ValueError for a value without one.
    """
    known = {name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()}
    quantiser = QDQQuantizer(
        onnx.ModelProto.FromString(model.SerializeToString()),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, known),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=_OPERATORS,
        extra_options={"MatMulConstBOnly": True},
    )
    quantiser.quantize_model()
    made: onnx.ModelProto = quantiser.model.model
    return made


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Feeds]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._left, None)
