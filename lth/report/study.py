"""What a study compares: a row a network and its best tickets, and a figure of all; from study.json, records and cards."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from lth.analysis import ends, naming, pairs, statement, table, verdict
from lth.analysis.pairs import Arm, first
from lth.analysis.verdict import Verdict
from lth.report import cards
from lth.report.cards import WEIGHTS, Export
from lth.report.details import Part
from lth.report.html import to_html
from lth.report.plot import COLOURS, Axis, Line, Lines, over_seeds
from lth.tree.record import Found, Record

FILE, FORMAT = "study.json", "lth-study-1"
WITHIN = 0.01  # of the dense network's validation accuracy, where no ticket is shown to match
STYLES = {"weights": ("-", "o"), "channels": ("--", "s")}


@dataclass(frozen=True)
class Study:
    """What study.json says: keys of its ``rounds``, the ``size`` chosen for what was ``asked``, and who is ``left_out``, why."""

    rounds: list[str]
    asked: str = ""
    size: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def read(outputs: Path, found: Found | None = None) -> Study | None:
    """Return the last study of an outputs folder; None where there is none, or where its file is damaged, which is noted."""
    try:
        facts = json.loads((outputs / FILE).read_bytes())
        if facts.pop("format") != FORMAT or not all(isinstance(key, str) for key in facts["rounds"]):
            raise ValueError("it is no study")
        study = Study(**facts)
        return replace(study, left_out={str(name): str(why) for name, why in study.left_out.items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if found:
            found.skip(FILE, f"it cannot be read ({type(error).__name__})")
        return None


def parts(found: Found, accuracy: str) -> list[Part]:
    """Return the section of the study whose rounds were found, if there is one."""
    for outputs in sorted({record.folder.parent.parent for record in found.records if record.folder}):
        study = read(outputs, found)
        if study and chosen(records := of(study, found.records), accuracy):
            exports = cards.read(found)
            frame, text = frame_of(records, exports, accuracy), caption(records, study, exports, accuracy)
            return [Part("", text, {"study": figure(records, accuracy)}, to_html(_for_phones(frame)))]
    return []


def _for_phones(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with one column of names, and test accuracy beside it, so that a narrow window shows both."""
    names = frame["implementation"] + " " + frame["trained part"] + ", " + frame["pruned"]
    train, valid, test, *others = frame.columns[3:]
    return frame[[test, valid, train, *others]].set_axis(names.rename("network")).reset_index()


def of(study: Study, records: Iterable[Record]) -> list[Record]:
    """Return the records of a study's rounds, in its order."""
    known = {record.key: record for record in records}
    return [known[key] for key in study.rounds if key in known]


def best(judged: Sequence[Verdict], arms: Mapping[pairs.Key, Arm]) -> Verdict:
    """Return the ticket that stands for a chain: the sparsest that is shown to win or match.

    Where there is none, the sparsest within WITHIN of its dense networks by validation accuracy; else the sparsest.
    """

    def loss(v: Verdict) -> float:
        end, ticket = ends.ENDS[v.end].val, v.ticket
        arm, dense = arms[ticket.recipe, ticket.step, ticket.round, ""], arms[ticket.recipe, "", 0, ""]
        return fmean(getattr(dense[seed], end) - getattr(arm[seed], end) for seed in v.dense.seeds)

    close = [v for v in judged if loss(v) <= WITHIN + 1e-9]
    return verdict.sparsest(judged) or min(close or judged, key=lambda v: v.density)


def chosen(records: Sequence[Record], accuracy: str = ends.EARLY_STOP) -> list[tuple[Arm, Verdict | None]]:
    """Return the arms that the table shows, each dense network before its chains' ``best``, with their verdicts."""
    arms, judged = pairs.arms(records), verdict.by_chain(records, accuracy)
    result: list[tuple[Arm, Verdict | None]] = []
    for recipe in dense(records):
        result.append((arms[recipe, "", 0, ""], None))
        for chain in (chain for chain in judged if chain[0].ticket.recipe == recipe):
            v = best(chain, arms)
            result.append((arms[recipe, v.ticket.step, v.ticket.round, ""], v))
    return result


def dense(records: Sequence[Record]) -> list[str]:
    """Return the recipes of the rows, in their order: of each family the shortest; longer ones are controls of tickets."""
    shortest: dict[str, Record] = {}
    for record in (r for r in records if not r.round and not r.control):
        shortest[record.family] = min(shortest.get(record.family, record), record, key=lambda r: r.epochs)
    return [record.recipe for record in shortest.values()]


def structure(record: Record) -> str:
    """Return what is pruned together in a record's chain, 'dense' of a dense network."""
    return (naming.structure(record) or "weights") if record.round else "dense"


def frame_of(records: Sequence[Record], exports: Sequence[Export], accuracy: str = ends.EARLY_STOP) -> pd.DataFrame:
    """Return the table, of strings: means ± standard deviations (n - 1) over seeds, and what was measured of the first."""
    rows = [_row(arm, v, records, exports, accuracy) for arm, v in chosen(records, accuracy)]
    return pd.DataFrame(rows).replace("", "-")


def _row(arm: Arm, v: Verdict | None, records: Sequence[Record], exports: Sequence[Export], end: str) -> dict[str, str]:
    record, some = first(arm), list(arm.values())
    said, valid = ends.ENDS[end].said, ends.ENDS[end].val
    ms, size = _measured(record, records, exports)
    fields = {"train": valid.replace("val_acc", "train_acc"), "valid": valid, "test": end}
    return {
        "implementation": record.model,
        "trained part": record.finetune,
        "pruned": f"{structure(record)}, round {record.round}" if v else "dense",
        **{f"{part} accuracy {said}": table.mean([getattr(r, name) for r in some]) for part, name in fields.items()},
        "weights remaining, trained part": f"{fmean(r.density for r in some):.1%}",
        "whole network": _mean([r.model_density for r in some], "{:.1%}"),
        "MFLOPs": _mean([r.flops_remaining and r.flops_remaining / 1e6 for r in some], "{:.4g}"),
        "ms, batch 1": f"{ms:.3g}" if ms else "",
        "file, MB": f"{size / 1e6:.3g}" if size else "",
        "verdict": v.verdict if v else "",
        "n": str(len(some)),
    }


def _mean(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return form.format(fmean(known)) if known else ""


def _measured(record: Record, records: Sequence[Record], exports: Sequence[Export]) -> tuple[float | None, float | None]:
    """Return ms an image and bytes of the weights of a ticket that was exported, or of the dense network of one."""
    kind, alike = ("ticket", "key") if record.round else ("dense", "recipe")
    keys = {r.key for r in records if getattr(r, alike) == getattr(record, alike)}
    export = next((export for export in exports if export.record.key in keys), None)
    return (export.ms.get(1, {}).get(kind), export.sizes[kind].get(WEIGHTS)) if export else (None, None)


def caption(records: Sequence[Record], study: Study, exports: Sequence[Export], accuracy: str = ends.EARLY_STOP) -> str:
    """Return how the table is to be read, on what times were measured, and which networks are not in it."""
    machines = dict.fromkeys((e.runtime, e.machine) for e in exports if e.record.key in study.rounds and 1 in e.ms)
    times = "; ".join(f"{runtime} on {machine}" for runtime, machine in machines)
    text = (
        f"{table.caption(records, accuracy)} Of each chain the sparsest ticket that is shown to win or to match, else the "
        f"sparsest within {100 * WITHIN:g} pp of its dense network in validation accuracy, else the sparsest of all. "
        "Train accuracy is the mean over the batches of that epoch, with dropout. MFLOPs are theoretical, 2 for a multiplication "
        "and an addition. The file is model.safetensors; that of a dense network is computed, 4 bytes a parameter. "
    )
    text += f"Times are of one image, on one thread, of the first seed: {times}." if times else "No time was measured."
    for why in dict.fromkeys(study.left_out.values()):
        rows = ", ".join(name for name, other in study.left_out.items() if other == why)
        text += f" Left out: {rows} ({why.partition(';')[0].rstrip('.')})."  # what follows may say where files lie
    return text


def figure(records: Sequence[Record], accuracy: str = ends.EARLY_STOP) -> Lines:
    """Return the plot of test accuracy against the parameters that remain: a colour a row, a line a chain, from dense on."""
    arms, lines = pairs.arms(records), []
    for colour, recipe in zip(itertools.cycle(COLOURS), dense(records)):
        arm = arms[recipe, "", 0, ""]
        record = first(arm)
        chains: dict[str, list[Arm]] = {}
        for (own, _, index, control), other in arms.items():
            if own == recipe and index and not control:
                chains.setdefault(structure(first(other)), []).append(other)
        for what, tickets in chains.items() or [("dense", [])]:
            dash, marker = STYLES.get(what, ("", "D"))
            lines.append(_line(f"{record.model} {record.finetune}, {what}", [arm, *tickets], accuracy, colour, dash, marker))
    n = ends.seeds([len(arm) for arm in arms.values()])
    title = f"{ends.title(accuracy, 'acc').capitalize()} against what remains of the whole network, {n}"
    x = Axis("parameters remaining, millions", "log")
    note = "the rightmost point of a line is the dense network; bars: one standard deviation over seeds"
    return Lines(title, x, Axis(ends.title(accuracy, "acc"), "percent"), lines, note)


def _line(label: str, arms: Sequence[Arm], end: str, colour: str, dash: str, marker: str) -> Line:
    points, notes = [], {}
    for arm in arms:
        some = [r for r in arm.values() if r.model_density is not None and r.parameters]
        if some:
            x = fmean(r.model_density * r.parameters for r in some) / 1e6
            points += [(x, getattr(r, end)) for r in some]
            notes[x] = f"{structure(some[0])}, round {some[0].round}, {fmean(r.density for r in some):.1%} of the trained weights"
    return over_seeds(label, points, notes, colour=colour, dash=dash, marker=marker)


def document(records: Sequence[Record], study: Study, exports: Sequence[Export]) -> str:
    """Return study.md: the table under its caption, then the verdicts."""
    return f"{caption(records, study, exports)}\n\n{table.markdown(frame_of(records, exports))}\n\n{statement.summary(records)}\n"
