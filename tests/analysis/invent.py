"""Invented records."""

from typing import Any

from lth.tree.record import Record

PLAIN = {"criterion": "magnitude", "allocation": "global", "rewind": "init", "retrain": "rewind"}
SCORES = ("train_acc", "val_acc", "test_acc", "best_val_acc", "best_test_acc", "early_stop_val_acc", "early_stop_test_acc")


def record(seed: int, k: int, rate: float = 0.2, levels: int = 1, **changes: Any) -> Record:
    """Return round k of a chain; its early stop is measured to the iteration (``iterations=0``)."""
    density = (1 - rate) ** (k * levels)
    prune = {"rate": rate} | changes.get("determined_by", {}).get("prune", {})
    settings = {f"prune.{name}": value for name, value in prune.items() if name != "levels"} if k else {}
    facts = {
        "key": f"{seed}-{k}-{rate}-{levels}", "name": "name", "round": k, "model": "simple_cnn", "data": "scenes", "seed": seed,
        "epochs": 10, "rate": rate if k else None, "levels": levels, "recipe": "abcdef012345", "family": "family",
        "step": f"{rate} {levels}" if k else "", **dict.fromkeys(SCORES, 0.5 + 0.01 * k + 0.02 * seed),
        "early_stop_epoch": 2, "early_stop_iteration": 96, "early_stop_val_loss": 0.5, "censored": False, "iterations": 0,
        "kept": round(1000 * density), "prunable": 1000, "density": density, "speedup": 1.5, "seconds": 12.345,
        "determined_by": {"prune": {"levels": levels}} if k else {},
        **(PLAIN if k else {}), **changes, "settings": settings | changes.get("settings", {}),
    }  # fmt: skip
    return Record(**facts)


def arm(k: int, accuracies: list[float], stops: list[int] | None = None, **changes: Any) -> list[Record]:
    """Return round k of seeds 0, 1, 2, ... with these test accuracies and early-stop iterations (1000 if not set)."""
    stops = stops or [1000] * len(accuracies)
    shared = {"images": {"train": 900, "val": 100, "test": 1000}, **changes}
    both = zip(accuracies, stops)
    return [record(s, k, **{"early_stop_test_acc": a, "early_stop_iteration": i} | shared) for s, (a, i) in enumerate(both)]
