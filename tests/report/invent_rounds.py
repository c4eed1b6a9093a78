"""An invented outputs folder: every file that a report reads, without training."""

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from lth.hashes import of_file, of_record, of_test_images

LAYERS = {"fc1.weight": (16, 20), "head.weight": (3, 16)}
CLASSES = ["across", "down", "plain"]


def outputs(
    root: Path, seeds: int = 2, rounds: int = 4, files: bool = True, classes: list[str] = CLASSES, first: int = 0, **changes: Any
) -> Path:
    """``seeds`` chains, from ``first`` on, of ``rounds`` tickets and a control: folders with their files, or round.json alone."""
    for seed in range(first, first + seeds):
        rng, parent = np.random.default_rng(seed), None
        start = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in LAYERS.items()}
        for k in range(rounds + 1):
            parent = _round(root, seed, k, parent, start, files, classes, changes)
        _round(root, seed, rounds, parent, start, files, classes, changes | {"control": "reinit"})
    return root


def rewrite(path: Path, record: dict[str, Any]) -> None:
    """Write a round.json with its hash."""
    path.write_text(json.dumps(record | {"hash": of_record(record)}))


def _round(root: Path, seed: int, k: int, parent: str | None, start: dict, files: bool, classes: list[str], changes: dict) -> str:
    facts = _record(seed, k, parent, classes) | changes
    if k and facts["criterion"] != "magnitude":
        facts["step"] = f"{facts['criterion']:>012}"
    facts["key"] = f"{crc32(str(facts['recipe']).encode()) % 4096:03x}{seed:03x}{k:06x}"
    if facts["control"]:
        facts["key"] += "c"
    facts["name"] = f"{facts['model'].replace('/', '_')}-seed{seed}-round{k:02d}-{facts['key']}"
    folder = root / "rounds" / facts["name"]
    folder.mkdir(parents=True)
    if files:
        _files(folder, facts, start)
        names = ("metrics.csv", "ticket.safetensors", "final.safetensors", "start.safetensors")
        facts["files"] = {name: of_file(folder / name) for name in names}
    rewrite(folder / "round.json", facts)
    return facts["key"]


def _record(seed: int, k: int, parent: str | None, classes: list[str]) -> dict[str, Any]:
    density, n = 0.8**k, len(classes)
    score = 0.7 + 0.02 * k + 0.01 * seed
    matrix = np.full((n, n), 1, int) + np.diag([20 + k + i for i in range(n)])
    return {
        "round_format": 2, "parent": parent, "round": k, "control": None, "model": "lenet", "finetune": "all",
        "data": "stripes", "seed": seed, "epochs": 4, "rate": 0.2 if k else None, "levels": 1,
        "criterion": "magnitude", "allocation": "global",
        "kept": round(368 * density), "prunable": 368, "density": density, "recipe": "abcdef012345", "family": "fedcba543210",
        "step": "012345abcdef" if k else "", "determined_by": {} if k else {"optim": {"lr": 0.002}},
        "train_acc": 0.9, "val_acc": score, "test_acc": score, "best_test_acc": score + 0.01, "best_val_acc": score + 0.02,
        "early_stop_iteration": 100 - 5 * k + seed, "early_stop_epoch": 3, "early_stop_train_loss": 0.5,
        "early_stop_train_acc": 0.8, "early_stop_val_loss": 0.6, "early_stop_val_acc": score - 0.01,
        "early_stop_test_acc": score - 0.02, "censored": False, "pretrained": False,
        "rewind": "init" if k else None, "retrain": "rewind" if k else None, "settings": {"optim.lr": 0.002, "epochs": 4},
        "iterations": 200, "layers": dict.fromkeys(LAYERS, density),
        "layer_weights": {name: a * b for name, (a, b) in LAYERS.items()}, "flops": 2000,
        "flops_remaining": round(2000 * density),
        "parameters": 387, "model_density": density, "seconds": 3.5, "classes": classes, "test_confusion": matrix.tolist(),
        "images": {"train": 90, "val": 10, "test": 1200}, "start": f"start{seed}",
        "finished": f"2026-01-{seed % 28 + 1:02d}T10:00:00+00:00", "command": f"model=lenet seed={seed}",
    }  # fmt: skip


def _files(folder: Path, facts: dict[str, Any], start: dict[str, np.ndarray]) -> None:
    save_file(start, folder / "start.safetensors")
    masks, final = {}, {}
    for name, values in start.items():
        mask = np.abs(values) >= np.quantile(np.abs(values), 1 - facts["density"])
        masks[name], final[name] = np.packbits(mask), values * mask * 2
    save_file(masks, folder / "ticket.safetensors", {"lth": json.dumps({"start": facts["start"]})})
    save_file(final, folder / "final.safetensors")
    rows = [f"{e},{25 * e},{1 / e},0.5,{1.1 / e},{0.4 + 0.1 * e},0.001,100,{e}" for e in (1, 2, 3, 4)]
    head = "epoch,iteration,train_loss,train_acc,val_loss,val_acc,lr,images_per_second,seconds"
    (folder / "metrics.csv").write_text("\n".join([head, *rows]) + "\n")


def list_of_images(root: Path, paths: list[str]) -> None:
    """Write a list of test images, half of class 0 and half of class 1, and name it in each round.json."""
    labels = [2 * i // len(paths) for i in range(len(paths))]
    name = of_test_images(paths, labels)
    (root / "tests").mkdir(exist_ok=True)
    (root / "tests" / f"{name}.json").write_text(json.dumps({"root": str(root / "images"), "paths": paths, "labels": labels}))
    for path in (root / "rounds").glob("*/round.json"):
        rewrite(path, json.loads(path.read_text()) | {"test": name})


def predictions(root: Path, pictures: bool = True) -> Path:
    """Add predictions of 6 test images of 2 classes to all rounds: the ticket loses the first and gains the last."""
    (root / "images").mkdir()
    for i in range(6 if pictures else 0):
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(root / "images" / f"{i}.png")
    for path in (root / "rounds").glob("*/round.json"):
        facts = json.loads(path.read_text())
        np.save(path.with_name("predictions.npy"), [1, 0, 0, 1, 1, 1] if facts["round"] else [0, 0, 0, 1, 1, 0])
        facts["files"]["predictions.npy"] = of_file(path.with_name("predictions.npy"))
        rewrite(path, facts)
    list_of_images(root, [f"{i}.png" for i in range(6)])
    return root
