"""Invented records."""

from typing import Any


def record(seed: int, k: int, rate: float = 0.2, levels: int = 1, model: str = "simple_cnn", **changes: Any) -> dict[str, Any]:
    """Round k of a chain."""
    density = (1 - rate) ** (k * levels)
    names = ("train_acc", "val_acc", "test_acc", "best_val_acc", "best_test_acc", "early_stop_val_acc", "early_stop_test_acc")
    scores = dict.fromkeys(names, 0.5 + 0.01 * k + 0.02 * seed)
    return {
        "seed": seed, "round": k, "density": density, "model": model, "rate": rate if k else None, "levels": levels,
        "early_stop_iteration": 96, "early_stop_epoch": 2, "censored": False, "pretrained": False, "seconds": 12.345,
        "rewind": "init" if k else None, "retrain": "rewind" if k else None, "settings": {},
        "finetune": "all", "data": "scenes", "speedup": 1.5,
        "recipe": "abcdef012345", "step": f"{rate} {levels}" if k else "", **scores, **changes,
    }  # fmt: skip


def arm(k: int, accuracies: list[float], stops: list[int] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """Round k of seeds 0, 1, 2, ... with the test accuracies and early-stop iterations given (1000 if not)."""
    stops = stops or [1000] * len(accuracies)
    new = {"images": {"train": 900, "val": 100, "test": 1000}, "epochs": 10, "family": "family", **changes}
    both = zip(accuracies, stops)
    return [record(s, k, **{"early_stop_test_acc": a, "early_stop_iteration": i} | new) for s, (a, i) in enumerate(both)]
