"""The card of an exported network: what it is, what it can, what was measured; as JSON and as a page for people."""

from pathlib import Path
from typing import Any

from torch import nn

from lth import __version__
from lth.export import CARD, latency
from lth.export.compact import LOADER
from lth.export.shrink import Shrunk
from lth.export.source import Source
from lth.models import flops


def removal(small: Shrunk, net: nn.Module) -> str:
    """Return one line on the channels that were removed, and on where none could be."""
    before, after = parameters(net), parameters(small.network)
    count = sum(small.removed.values())
    line = f"{count} dead channels and units removed: {after:,} of {before:,} parameters are left"
    left = "; ".join(f"{name}: {why}" for name, why in small.left.items())
    return f"{line}. Left whole: {left}." if left else f"{line}."


def parameters(net: nn.Module) -> int:
    """Return the number of elements of a network's parameters."""
    return sum(p.numel() for p in net.parameters())


def facts(
    source: Source, small: Shrunk, tried: list[dict], agreement: dict[str, dict], timed: list[dict], draft: Path, options: Any
) -> dict[str, Any]:
    """Return the card. Accuracies are fractions, sizes bytes, times milliseconds a batch."""
    record, dense = source.record, source.dense
    channels, size, _ = source.shape
    exported = {name: entry for name, entry in agreement.items() if name != "ticket"}
    return {
        "format": CARD,
        "classes": record.classes,
        "input": {"name": "images", "type": "float32, 0 to 1", "channels": channels, "image_size": size},
        "model": record.model,
        "round": record.name,
        "key": record.key,
        "seed": record.seed,
        "command": record.command,
        "density": record.density,
        "test_images": len(source.labels),
        "test_acc": agreement["ticket"]["test_acc"],
        "dense_test_acc": dense.test_acc,
        "predictions_differ": max((e["predictions_differ"] for n, e in exported.items() if not n.endswith("int8")), default=0),
        "largest_difference": max((e["largest_difference"] for n, e in exported.items() if not n.endswith("int8")), default=0.0),
        "agreement": exported,
        "parameters": {
            "dense": parameters(source.dense_net), "remaining": _remaining(source), "exported": parameters(small.network)
        },
        "flops": {
            "dense": sum(flops.per_layer(source.dense_net, size, channels).values()),
            "exported": sum(flops.per_layer(small.network, size, channels).values()),
        },
        "bytes": {path.name: path.stat().st_size for path in sorted(draft.iterdir())},
        "dense_bytes": 4 * parameters(source.dense_net),
        "removed": small.removed,
        "left_whole": small.left,
        "sparse_layers": tried,
        "latency": timed,
        "machine": latency.machine(),
        "lth": __version__,
    }  # fmt: skip


def _remaining(source: Source) -> int:
    pruned = sum(int((~mask).sum()) for mask in source.masks.values())
    return parameters(source.net) - pruned


def table(card: dict[str, Any]) -> str:
    """Return the measured times as a Markdown table."""
    lines = ["| runtime | batch | threads | dense, ms | exported, ms | dense / exported |", "|---|---|---|---|---|---|"]
    for row in card["latency"]:
        for name, ratio in row["ratio"].items():
            runtime = row["runtime"] + (" int8" if name == "int8" else "")
            times = f"{row['ms']['dense']:.2f} | {row['ms'][name]:.2f} | {1 / ratio:.2f}"
            lines.append(f"| {runtime} | {row['batch']} | {row['threads']} | {times} |")
    return "\n".join(lines) if card["latency"] else "No time was measured."


def _literal(name: str) -> str:
    """Return a name of a folder so that Markdown shows it as it is."""
    return f"`{name.replace('`', '')}`"


def _weights() -> list[str]:
    words = "`model.safetensors` holds what the masks keep, under the network's own names. With numpy and safetensors:"
    return ["## The weights alone", words, f"```python\n{LOADER}```"]


def readme(card: dict[str, Any]) -> str:
    """Return the page that lies beside the files."""
    size, channels, machine = card["input"]["image_size"], card["input"]["channels"], card["machine"]
    counts, flops_ = card["parameters"], card["flops"]
    sizes = ", ".join(f"`{name}` {count / 1e6:.2f} MB" for name, count in card["bytes"].items())
    sparse = [row["layer"] for row in card["sparse_layers"] if row["sparse"]]
    parts = [
        f"# {card['model']}: {', '.join(map(_literal, card['classes']))}",
        f"Input `images`: float32 (n, {channels}, {size}, {size}), {'grey' if channels == 1 else 'RGB'}, 0 to 1, resized "
        f"bilinearly without a crop; normalisation is inside. Output `logits`: (n, {len(card['classes'])}), in the order above.",
        *(["```\npython -m lth.predict . photo.jpg\n```"] if {"model.onnx", "model.pt2"} & card["bytes"].keys() else []),
        f"Test accuracy {card['test_acc']:.3f} on {card['test_images']:,} images; its dense network has "
        f"{card['dense_test_acc']:.3f}. {card['predictions_differ']} predictions differ from the ticket's, logits by at most "
        f"{card['largest_difference']:.1e}.",
        f"Parameters: {counts['dense']:,} dense, {counts['remaining']:,} remaining, {counts['exported']:,} in the exported "
        f"arrays. Theoretical FLOPs of one image: {flops_['dense']:,} dense, {flops_['exported']:,} exported.",
        f"Files: {sizes}; the dense weights take {card['dense_bytes'] / 1e6:.2f} MB.",
    ]
    if sparse:
        names = ", ".join(sparse)
        parts.append(f"`import csr` before `torch.export.load('model.pt2')`: {names} compute with compressed sparse rows.")
    if entry := card["agreement"].get("onnxruntime int8"):
        parts.append(
            f"`model.int8.onnx` computes with 8-bit integers: test accuracy {entry['test_acc']:.3f}; "
            f"{entry['predictions_differ']} predictions differ from the ticket's."
        )
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n\n".join(
        [
            *parts,
            "## Latency",
            f"Medians of interleaved runs on {machine['cores']} cores ({machine['machine']}), {versions}.",
            table(card),
            *(_weights() if "model.safetensors" in card["bytes"] else []),
            "## Where it comes from",
            f"Round `{card['round']}` (key {card['key']}, seed {card['seed']}, {card['density']:.1%} of the weights), exported "
            f"by lth {card['lth']}. It was trained by\n\n```\npython -m lth.run {card['command']}\n```\n",
        ]
    )
