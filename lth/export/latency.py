"""Times of networks, interleaved, as medians: what a ratio needs that holds on another day."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

BATCHES = (1, 32)


def medians(
    calls: Mapping[str, Callable[[], Any]], seconds: float = 2.0, least: int = 5, warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:  # fmt: skip
    """Return the median time of each call in seconds, of calls in turn, so that a drifting machine drifts for all of them.

    Args:
        seconds: for about which they are called in all.
        least: times that each is called at least.
        warm: times that each is called before, which do not count.
        clock: returns seconds.
    """
    for _ in range(warm):
        for call in calls.values():
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    while len(next(iter(times.values()))) < least or time.perf_counter() - begin < seconds:
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: median(values) for name, values in times.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute on ``count`` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def session(path: Path, count: int) -> Any:
    """Return an ONNX Runtime session of a file, on ``count`` threads of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = count, 1, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle pools would disturb the next network
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def caller(runtime: str, one: Any, images: np.ndarray, count: int) -> Callable[[], Any]:
    """Return a call of ``one`` (a module, an exported program's module, or an ONNX file) on float32 images."""
    if runtime == "onnxruntime":
        running = session(one, count)
        return lambda: running.run(None, {"images": images})
    tensor = torch.from_numpy(images)

    def call() -> Any:
        with torch.no_grad():
            return one(tensor)

    return call


def rows(
    versions: Mapping[str, Mapping[str, Any]],
    shape: tuple[int, int, int],
    seconds: float = 2.0,
    counts: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Measure networks against ``dense``, for each runtime, batch and number of threads.

    Args:
        versions: runtime -> name -> what ``caller`` takes; ``dense`` is one of the names.
        shape: of one image (c, h, w).
        seconds: of each timing.
        counts: numbers of threads; None: one, and one a core.

    Returns:
        a row a runtime, batch and number of threads: ``ms`` by name, medians a batch, and ``ratio`` to ``dense`` by name.
    """
    result = []
    for runtime, named in versions.items():
        for batch in BATCHES:
            images = np.random.default_rng(0).random((batch, *shape), dtype=np.float32)
            for count in counts or sorted({1, os.cpu_count() or 1}):
                with threads(count):
                    calls = {name: caller(runtime, one, images, count) for name, one in named.items()}
                    times = medians(calls, seconds)
                ratio = {name: times[name] / times["dense"] for name in times if name != "dense"}
                ms = {name: 1000 * value for name, value in times.items()}
                result.append({"runtime": runtime, "batch": batch, "threads": count, "ms": ms, "ratio": ratio})
    return result


def machine() -> dict[str, Any]:
    """Return the machine and the versions that times belong to."""
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    try:
        import onnxruntime

        versions["onnxruntime"] = onnxruntime.__version__
    except ImportError:
        pass
    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(), "versions": versions}
