"""How exported networks do beside their dense networks, from the cards that ``lth.export`` leaves in exports/."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from lth.analysis import ends, naming
from lth.report.cards import FILES, WEIGHTS, Export, read
from lth.report.details import Part
from lth.report.html import to_html
from lth.report.plot import Axis, Line, Lines, style
from lth.report.scores import short
from lth.tree.record import Found, Record

END = "test_acc"  # the weights of the last epoch are exported
BATCHES = (1, 32)  # that are shown
WIDE = 20  # largest by smallest x from which on an axis is logarithmic
KINDS = {"dense": "", "ticket": "exported", "int8": "exported, int8"}  # name in a card -> what readers call it

Names = Mapping[tuple[str, str], str]  # (recipe, step) -> what a chain is called


def part(name: str, records: Sequence[Record], found: Found) -> Part:
    """Return the section on the exports of the rounds of a data set; it has nothing inside where there are none."""
    keys, names = {record.key for record in records}, naming.headings(records)
    exports = [export for export in read(found) if export.record.key in keys]
    if not exports:
        return Part("Exported networks")
    exports.sort(key=lambda e: (called(e, "dense", names), e.record.recipe, e.record.seed, -e.record.density))
    figures = {"latency": latency(exports, names, name), "file_size": file_size(exports, names, name)}
    return Part("Exported networks", caption(exports), figures, to_html(table(exports, names)))


def caption(exports: Sequence[Export]) -> str:
    """Return what the table shows, and on which machine times were measured."""
    on = _machines(exports)
    times = (
        "Times are measured: medians of interleaved runs on one thread, in ms a batch; a dense network is timed in turn with "
        f"each of its exports. Above 1, dense / exported says that the export was faster. {on}."
    )
    return (
        f"Test accuracy at the last epoch, whose weights are exported; a row an export, {_seeds(exports)}. File sizes of "
        f"model.onnx (int8: model.int8.onnx) and model.safetensors; 1 MB is 1,000,000 bytes, and a dense network's size is "
        f"computed, 4 bytes a parameter. {times if on else 'No time was measured.'}"
    )


def _seeds(exports: Sequence[Export]) -> str:
    count = len({export.record.seed for export in exports})
    return f"{count} seed{'s' * (count > 1)}"


def _places(exports: Sequence[Export]) -> dict[tuple[str, str], str]:
    """Return (runtime, machine) -> its name, which numbers the machines if there are several; of exports that were timed."""
    timed = dict.fromkeys((export.runtime, export.machine) for export in exports if export.ms)
    machines = list(dict.fromkeys(machine for _, machine in timed))
    return {(r, m): f"{r} on machine {machines.index(m) + 1}" if len(machines) > 1 else r for r, m in timed}


def _machines(exports: Sequence[Export]) -> str:
    return "; ".join(f"{place}: {machine}" for (_, machine), place in _places(exports).items())


def called(export: Export, kind: str, names: Names, *which: str) -> str:
    """Return the name of a network: of its chain, ``which`` round, its control, and how it was exported."""
    record = export.record
    if kind == "dense":
        return names.get((record.recipe, ""), f"{record.model} {record.finetune}, dense")
    control = naming.CONTROLS.get(record.control, "")
    return ", ".join(filter(None, [names[record.recipe, record.step], *which, control, KINDS[kind]]))


def table(exports: Sequence[Export], names: Names) -> pd.DataFrame:
    """Return the table, of strings: each dense network, as it was measured on a machine, then its exports, in the order given."""
    groups: dict[tuple, list[Export]] = {}
    for export in exports:
        groups.setdefault((export.record.recipe, export.record.seed, export.runtime, export.machine), []).append(export)
    places, rows, times = _places(exports), [], Counter(export.record.key for export in exports)
    for group in groups.values():
        rows.append(_row(group, "dense", names, places))
        for export in group:
            to = export.folder if times[export.record.key] > 1 else ""
            rows += [_row([export], kind, names, places, to) for kind in export.accuracies if kind != "dense"]
    frame = pd.DataFrame(rows)
    return frame.loc[:, (frame != "").any()].replace("", "-")


def _row(some: Sequence[Export], kind: str, names: Names, places: Names, to: str = "") -> dict[str, str]:
    """Return the cells of an export, or of the dense network of some, which was timed beside each: a range.

    ``to``: the folder of an export, where its round has several.
    """
    export, pruned = some[0], kind != "dense"
    record, sizes = export.record, export.sizes[kind]
    row = {
        "implementation": called(export, kind, names, *[f"round {record.round}"] * bool(record.round)),
        "seed": str(record.seed),
        "weights remaining": f"{record.density if pruned else 1:.2%}",
        ends.title(END): f"{export.accuracies[kind]:.3f}",
        "parameters": f"{export.parameters[kind]:,}",
    } | {title: _brief(sizes[file] / 1e6) if file in sizes else "" for file, title in FILES.items()}
    for batch in BATCHES:
        times = sorted(e.ms[batch][kind] for e in some if kind in e.ms.get(batch, {}))
        row[f"ms (batch {batch})"] = " to ".join(dict.fromkeys(map(_brief, times[:1] + times[-1:])))
        row[f"dense / exported (batch {batch})"] = f"{export.ms[batch]['dense'] / times[0]:.2f}" if times and pruned else ""
    return row | {"measured in": places.get((export.runtime, export.machine), "") if len(places) > 1 else "", "exported to": to}


def _brief(value: float) -> str:
    return f"{value:#.3g}" if value < 99.95 else f"{value:,.0f}"


def latency(exports: Sequence[Export], names: Names, title: str) -> Lines | None:
    """Return the plot of accuracy against the measured time of one image on one thread; None where none was timed."""
    places, points = _places(exports), []
    timed = [export for export in exports if 1 in export.ms]
    for export in timed:
        where = f", {places[export.runtime, export.machine]}" * (len(places) > 1)
        for kind, ms in export.ms[1].items():
            ratio = f"dense / exported: {export.ms[1]['dense'] / ms:.2f}"
            note = f"timed beside {_seed(export)}" if kind == "dense" else f"{_seed(export)}, {ratio}"
            points.append((called(export, kind, names) + where, ms, export.accuracies[kind], note))
    x = ", ".join(["ms at batch 1, one thread", *places.values()][: 2 if len(places) == 1 else 1])
    note = f"a point an export and its dense network; {_machines(timed)}"
    return _plot(f"{title}: accuracy against measured latency", x, points, timed, note)


def file_size(exports: Sequence[Export], names: Names, title: str) -> Lines | None:
    """Return the plot of accuracy against the bytes of WEIGHTS, which hold no more than what masks keep; None without any.

    Its dense counterpart is known without being written: 4 bytes a parameter. That of ONNX is not.
    """
    written, points = [export for export in exports if WEIGHTS in export.sizes["ticket"]], []
    for export in written:
        for kind, note in (("dense", f"seed {export.record.seed}"), ("ticket", _seed(export))):
            points.append((called(export, kind, names), export.sizes[kind][WEIGHTS] / 1e6, export.accuracies[kind], note))
    note = "a point an export; dense networks: 4 bytes a parameter, computed"
    return _plot(f"{title}: accuracy against file size", f"{WEIGHTS}, MB", points, written, note)


def _seed(export: Export) -> str:
    return f"{short(export.record)}, seed {export.record.seed}"


def _plot(heading: str, x: str, points: Sequence[tuple], exports: Sequence[Export], note: str) -> Lines | None:
    """Return points (series, x, accuracy, note) as series of markers, equal points once; wide ranges on a log axis."""
    series: dict[str, list[tuple]] = {}
    for name, *point in dict.fromkeys(points):
        series.setdefault(name, []).append(tuple(point))
    lines = []
    for i, (name, some) in enumerate(series.items()):
        xs, ys, notes = map(list, zip(*some))
        lines.append(Line(name, xs, ys, dash="", notes=notes, **style(i)))
    title = f"{heading}, at the last epoch, whose weights are exported, {_seeds(exports)}"
    wide = points and max(point[1] for point in points) > WIDE * min(point[1] for point in points)
    return Lines(title, Axis(x, "log" if wide else "number"), Axis(ends.title(END), "percent"), lines, note) if lines else None
