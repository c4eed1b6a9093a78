"""The files that run without lth: ``model.pt2`` by torch alone, ``model.onnx`` by any ONNX runtime."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lth.errors import require_package

OPSET = 20
ONNX = ("onnx", "onnxscript", "onnxruntime")  # the packages that write and run it
CALIBRATION = 32  # images a batch


class Deployed(nn.Module):
    """A network with its normalisation: images float32 (n, c, h, w) in [0, 1] -> logits (n, classes)."""

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("scale", (1 / torch.tensor(std)).view(1, -1, 1, 1))
        self.register_buffer("shift", (-torch.tensor(mean) / torch.tensor(std)).view(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images * self.scale + self.shift)


def to_pt2(path: Path, network: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """Write a ``torch.export`` program with a free number of images; return what its file holds, as a module."""
    example = (torch.rand(2, *shape),)
    with _quiet():
        program = torch.export.export(network.eval(), example, dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}})
        torch.export.save(program, path)
        return torch.export.load(path).module()


def to_onnx(path: Path, network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Write an ONNX model, ``images`` float32 (n, c, h, w) in [0, 1] -> ``logits``, n free, that onnx's checker accepts."""
    import onnx

    example = (torch.rand(2, *shape),)
    with _quiet():
        program = torch.onnx.export(
            network.eval(), example, dynamo=True, dynamic_shapes={"images": {0: "n"}}, input_names=["images"],
            output_names=["logits"], opset_version=OPSET, verbose=False,
        )  # fmt: skip
        program.save(path)
    onnx.checker.check_model(str(path), full_check=True)


def to_int8(path: Path, onnx_file: Path, images: np.ndarray) -> None:
    """Write an ONNX model in 8-bit integers: ONNX Runtime's static quantisation, one scale a channel.

    Weights are signed and activations unsigned: x86 processors multiply such pairs in one instruction. With signed activations,
    which are ONNX Runtime's default, EfficientNet-Lite0 took 1.4 times as long.

    Args:
        onnx_file: the model in float32.
        images: that calibrate the ranges of activations, float32 (n, c, h, w) in [0, 1].
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([images[i : i + CALIBRATION] for i in range(0, len(images), CALIBRATION)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(({"images": batch} for batch in self.batches), None)

    prepared = path.with_name(f"{path.stem}.prepared.onnx")
    with _quiet():
        quant_pre_process(str(onnx_file), str(prepared))
        quantize_static(
            str(prepared), str(path), Batches(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8
        )
    prepared.unlink()


def require(formats: tuple[str, ...], *, int8: bool) -> None:
    """Raise UsageError naming a package that is missing for these formats."""
    for package in ("torch_pruning", *ONNX * ("onnx" in formats or int8)):
        require_package(package, "the export", "export")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep exporters from printing: what matters of what they say is raised, or checked afterwards."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "root", "torch.export")}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(None if name == "root" else name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(None if name == "root" else name).setLevel(level)
