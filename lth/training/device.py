"""What computes a round, and how: resolved once, without importing torch where there can be no GPU."""

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lth.config import Trainer
from lth.errors import UsageError

GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


@dataclass(frozen=True)
class Device:
    """``accelerator`` is Lightning's name of it; ``precision`` is one of trainer.precision, never ``auto``."""

    accelerator: str
    precision: str

    @property
    def torch_name(self) -> str:
        """Torch's name of the device that this process trains and scores on."""
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if self.accelerator == "cuda" else self.accelerator


def resolve(trainer: Trainer) -> Device:
    """Return the device and the precision that ``auto`` stands for.

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    kind = "cpu" if trainer.accelerator == "cpu" else _accelerator()
    if trainer.accelerator == "gpu" and kind == "cpu":
        raise UsageError(
            "trainer.accelerator=gpu is not accepted: this machine has no GPU that torch can use; it takes auto or cpu."
        )
    if trainer.precision != "auto":
        return Device(kind, trainer.precision)
    if kind != "cuda":
        return Device(kind, "32-true")
    import torch

    return Device(kind, "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed")


def _accelerator() -> str:
    if sys.platform not in ("darwin", "win32") and not any(Path(path).exists() for path in GPU_FILES):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def is_first() -> bool:
    """Return whether this process writes: the only one, or rank 0 of a distributed run (Lightning starts the others again)."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def prepare(deterministic: bool) -> None:
    """Set up the process before it trains.

    glibc keeps freed memory from then on, so that a step's large buffers cost no page faults (several times faster steps).
    Without a GPU, torch does not look for one in each step of Adam, as Lightning would have it.
    ``deterministic`` has torch compute the same bits each time, or raise RuntimeError where an operation cannot.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # glibc alone has it
        trim_threshold, mmap_max = -1, -4  # from malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
    if _accelerator() == "cpu":
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        import torch

        torch.use_deterministic_algorithms(True)
