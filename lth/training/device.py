"""What computes, and how: resolved once, without importing torch where there can be no GPU."""

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lth.config import Trainer
from lth.errors import UsageError


@dataclass(frozen=True)
class Device:
    """``accelerator`` is Lightning's name for it; ``precision`` is one of trainer.precision, never ``auto``."""

    accelerator: str
    precision: str

    def place(self) -> str:
        """Torch's name of the device that this process trains on; scores are computed there, too.

        Lightning leaves a network on the CPU after it has trained.
        """
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if self.accelerator == "cuda" else self.accelerator


def resolve(trainer: Trainer) -> Device:
    """The device and precision that ``auto`` stands for. Raises UsageError where a GPU is asked for and there is none."""
    kind = "cpu" if trainer.accelerator == "cpu" else _gpu()
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


def _gpu() -> str:
    if (
        sys.platform != "darwin"
        and not any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
        and sys.platform != "win32"
    ):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def is_first() -> bool:
    """Whether this process writes: the only one, or rank 0 of a distributed run (Lightning starts the others again)."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def keep_memory() -> None:
    """Tell glibc to keep freed memory: a step's large buffers then cost no page faults (several times faster steps)."""
    if sys.platform != "linux":
        return
    trim_threshold, mmap_max = -1, -4  # from malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another libc
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def repeat() -> None:
    """Have torch compute the same bits each time, or raise RuntimeError where an operation cannot."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    import torch

    torch.use_deterministic_algorithms(True)
