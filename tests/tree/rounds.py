"""Finished rounds that nobody trained."""

from pathlib import Path
from typing import Any

from lth.tree.record import Record
from lth.tree.store import Store


def facts(**changes: Any) -> dict[str, Any]:
    """The fields that every record has, of round ``round``."""
    k = changes.get("round", 0)
    scores = ("val_acc", "test_acc", "early_stop_val_acc", "early_stop_test_acc", "best_val_acc", "best_test_acc")
    return {
        **dict.fromkeys(scores, 0.5 + 0.01 * k), "key": f"{k:012x}", "name": f"m-{k:012x}", "round": k, "model": "m", "data": "d",
        "seed": 0, "epochs": 2, "rate": 0.2 if k else None, "recipe": "r", "family": "f", "early_stop_epoch": 1,
        "early_stop_iteration": 9, "early_stop_val_loss": 0.7, "censored": False, "iterations": 18, "kept": 8, "prunable": 10,
        "density": 0.8**k, "seconds": 1.5, "checks": {"nested": {"holds": True}}, "finished": f"2026-01-0{k + 1}",
    } | changes  # fmt: skip


def finish(outputs: Path, **changes: Any) -> Record:
    """Write a round's folder and its row in results.csv."""
    store, all_facts = Store(outputs), facts(**changes)
    folder = store.start_over(all_facts["key"], all_facts["model"])
    record = store.finish(folder, all_facts)
    store.enter(record)
    return record
