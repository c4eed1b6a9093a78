"""The tree of rounds: which was made from which, what each took, and what sharing them saved."""

from dataclasses import dataclass

from lth.report.read import Record


@dataclass(frozen=True)
class Node:
    """A round in the tree; ``chains``: how many ends of the tree need it, for each of which it would else be trained.

    Ends are the last tickets of chains, and controls, which need the rounds before their ticket, but not its training.
    """

    record: Record
    depth: int
    chains: int


def nodes(records: list[Record]) -> list[Node]:
    """Every round once, a parent before its children; a round whose parent is not among them is a root."""
    by_key = {record["key"]: record for record in records}
    children: dict[str, list[Record]] = {}
    for record in by_key.values():
        if record["parent"] in by_key:
            children.setdefault(record["parent"], []).append(record)
    ordered: list[tuple[Record, int]] = []
    stack = [(r, 0) for r in reversed(list(by_key.values())) if r["parent"] not in by_key]
    while stack:  # chains may be deeper than Python's recursion
        record, depth = stack.pop()
        ordered.append((record, depth))
        below = sorted(children.get(record["key"], []), key=lambda r: (not r["control"], r["round"], r["name"]), reverse=True)
        stack += [(child, depth + 1) for child in below]
    needed = _needed([record for record, _ in ordered], by_key)
    return [Node(record, depth, needed[record["key"]]) for record, depth in ordered]


def _needed(ordered: list[Record], by_key: dict[str, Record]) -> dict[str, int]:
    """Key -> how many ends need the round; ``ordered``: parents before their children."""
    needed = dict.fromkeys(by_key, 0)
    for record in reversed(ordered):
        needed[record["key"]] = needed[record["key"]] or 1
        parent = by_key.get(record["parent"])
        before = by_key.get(parent["parent"]) if parent is not None and record["control"] else parent
        if before is not None:
            needed[before["key"]] += needed[record["key"]]
    return needed


def seconds(found: list[Node]) -> tuple[float, float]:
    """What the rounds took, and what they would have taken in all if each end of the tree had its chain trained for itself."""
    took = sum(node.record["seconds"] for node in found)
    return took, sum(node.record["seconds"] * node.chains for node in found)


def clock(seconds: float) -> str:
    """A duration for people: '37 s', '12 min', '3 h 20 min'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def commands(records: list[Record]) -> list[tuple[str, int, str]]:
    """Each command that made rounds: (command, number of its rounds, when the first was finished), earliest first."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: str(r["finished"] or "")):
        if record["command"] is not None:
            found.setdefault(str(record["command"]), []).append(record)
    return [(f"python -m lth.run {text}".rstrip(), len(made), str(made[0]["finished"] or "")) for text, made in found.items()]
