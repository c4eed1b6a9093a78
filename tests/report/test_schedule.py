"""The section on when which worker trained which round, from an invented schedule.csv beside invented rounds."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

import lth.report.__main__ as report
from lth.report import build, draw, interactive, schedule
from lth.report.plot import GREY, Line, Lines
from lth.tree import attempts
from lth.tree.attempts import Attempt
from lth.tree.record import Record, read
from tests.report.invent_rounds import outputs

BEGIN = 1_790_000_000.0  # 2026-09-21 14:13 UTC


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two seeds of a dense network, two tickets and a control; no schedule."""
    return outputs(tmp_path_factory.mktemp("outputs"), seeds=2, rounds=2, files=False)


@pytest.fixture(scope="module")
def records(root) -> list[Record]:
    return read(root).records


def ran(of: Record, worker: str, begin: float, end: float, attempt: int = 1, exit: int = 0) -> Attempt:
    return Attempt(of.key, of.parent or "", worker, BEGIN + begin, BEGIN + end, attempt, exit)


def sweep(records: list[Record], seconds: float = 100) -> list[Attempt]:
    """A seed on each of two workers, a round after the other; the first ticket of seed 1 is killed once."""
    found = []
    for seed in (0, 1):
        some = sorted((r for r in records if r.seed == seed), key=lambda r: (r.round, bool(r.control)))
        tried = [(record, 1, 0) for record in some]
        if seed:
            tried[1:2] = [(some[1], 1, -9), (some[1], 2, 0)]
        found += [ran(r, f"host:{seed}", i * seconds, (i + 1) * seconds, *how) for i, (r, *how) in enumerate(tried)]
    return found


def chart(rows: list[Attempt], records: list[Record]) -> tuple[Lines, str, str]:
    """The figure, and the texts above and below it."""
    above, below = schedule.parts(rows, records)
    return above.figures["schedule"], above.text, below.text


def bars(line: Line) -> list[tuple[float, float, int, str]]:
    """Begin, end, row and note of each bar of a series."""
    found, begin = [], 0
    for i, x in enumerate(line.x):
        if math.isnan(x):
            found.append((line.x[begin], line.x[i - 1], line.y[begin], line.notes[begin]))
            assert len({*line.notes[begin:i]}) == 1
            begin = i + 1
    return found


def test_there_is_a_section_where_there_is_a_schedule(root, records, monkeypatch, tmp_path):
    monkeypatch.setattr(build, "saved", lambda figure, form: b"")
    report.report([str(root), "--to", str(tmp_path / "without")])
    attempts.append(root, sweep(records))
    report.report([str(root), "--to", str(tmp_path / "with")])
    (root / attempts.FILE).unlink()
    without, page = ((tmp_path / name / "report.html").read_text() for name in ("without", "with"))
    assert 'id="schedule"' not in without
    assert "Schedule" not in without[: without.index("</nav>")]
    assert page.index(">Accuracy against cost<") < page.index('id="schedule"') < page.index(">Rounds</h2>")
    assert (tmp_path / "with" / "figures" / "schedule.svg").exists()
    assert not (tmp_path / "without" / "figures" / "schedule.svg").exists()


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\x00\n1,2", b"key,begin\n\x00,\xff,,,", b"key,parent,worker,begin,end,attempt,exit\na,,\xff,1,2,1"],
)
def test_a_damaged_schedule_leaves_the_rest(root, content, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "saved", lambda figure, form: b"")
    path = root / attempts.FILE
    path.mkdir() if content is None else path.write_bytes(content)
    report.report([str(root), "--to", str(tmp_path)])
    path.rmdir() if content is None else path.unlink()
    assert 'id="schedule"' not in (tmp_path / "report.html").read_text()
    assert ("schedule.csv: it cannot be read (Is a directory)" in capsys.readouterr().out) == (content is None)


def test_there_is_a_bar_for_each_attempt(records):
    plot, above, below = chart(sweep(records), records)
    assert plot.title == "8 rounds on 2 workers: makespan 8.3 minutes"
    assert (plot.y.names, plot.x.title) == (["1", "0"], "minutes since the first round began")
    found = {line.label: bars(line) for line in plot.lines}
    assert {label: len(some) for label, some in found.items()} == {
        "dense networks": 2, "round 1": 2, "round 2": 4, "failed or interrupted": 1,
    }  # fmt: skip
    [(begin, end, row, note)] = found["failed or interrupted"]
    assert (begin, row, plot.lines[-1].colour) == (pytest.approx(100 / 60, abs=1e-4), 0, GREY)
    assert end == pytest.approx(200 / 60, rel=0.02)
    ticket = next(r for r in records if r.seed == 1 and r.round == 1)
    name = f"round 1, 80%, seed 1 ({ticket.key[:6]})\nlenet all, 20% a round\n"
    assert note == f"{name}100.0 seconds, attempt 1, exit -9 (signal 9)"
    assert f"{name}100.0 seconds, attempt 2, exit 0" in [note for *_, note in found["round 1"]]
    assert "the first began at 2026-09-21 14:13 UTC. Grey ones" in above
    assert below == (
        "The makespan is 8.3 minutes; all rounds took 15.0 minutes together, and the longest chain from parents to children 8.3 "
        "minutes: the makespan is 1.00 times the larger of that chain and the sum over 2 workers, below which it cannot be."
    )


def test_both_drawings_have_bars(records):
    plot, *_ = chart(sweep(records), records)
    spec = interactive.spec(plot)
    assert len(spec["data"]) == 4, "one trace a colour"
    assert all(trace["line"]["width"] == pytest.approx(14 * 4 / 3) for trace in spec["data"])
    assert spec["layout"]["yaxis"]["range"] == [-0.6, 1.6]
    assert "%{x" not in spec["data"][0]["hovertemplate"], "its points are no more than where the pointer finds a bar"
    assert spec["data"][1]["customdata"][0].count("<br>") == 2
    axes = draw.draw(plot).axes[0]
    assert {line.get_linewidth() for line in axes.lines} == {14}
    assert axes.get_ylim() == (-0.6, 1.6)


@pytest.mark.parametrize(("count", "each"), [(60, False), (10, True)])
def test_many_workers_or_one_a_round_share_rows(records, count, each):
    rows = [ran(records[i % 8], f"node:{i}", 100 * (i // 2) + i % 2, 100 * (i // 2) + 90, 1) for i in range(count)]
    rows += [] if each else [ran(records[0], "node:0", 3100, 3101)]
    plot, above, _ = chart(rows, records)
    assert plot.y.names == ["1", "2"]
    assert f"The workers have {count} names; bars are drawn in as few rows as hold them without overlap." in above
    assert bars(plot.lines[0])[0][-1].splitlines()[-1] == "worker node:0"
    assert sum(len(bars(line)) for line in plot.lines) == len(rows)


def test_workers_of_one_host_or_several_have_names_in_order(records):
    names = ["node1:11", "node1:9", "node0:10", "node0:9"]
    rows = [ran(r, names[i % 4], 50 * (i // 4), 50 * (i // 4) + 50) for i, r in enumerate(records)]
    assert schedule.places(rows) == ([0, 1, 2, 3] * 2, names), "the first is on top"
    twice = [ran(records[0], "host:0", 0, 50), ran(records[1], "host:0", 10, 50), ran(records[2], "host:1", 60, 70)]
    assert schedule.places(twice) == ([0, 1, 0], []), "two drivers gave their workers the same names"
    one = [ran(records[0], "host:0", 0, 50), ran(records[1], "host:1", 60, 70), ran(records[2], "host:1", 70, 80)]
    assert chart(one, records)[1].endswith(" 2 workers took part, at most 1 at a time.")


def test_the_last_sweep_is_shown(records):
    early = [ran(records[0], "host:0", -90_000, -89_000)]
    plot, above, _ = chart([*early, *sweep(records)], records)
    assert sum(len(bars(line)) for line in plot.lines) == 9
    assert above.endswith(
        "Not shown: 1 attempt of 1 earlier sweep, until 2026-09-20 13:30 UTC; another sweep begins where nothing ran for more "
        "than 10 minutes."
    )


def test_rounds_that_the_report_leaves_out_are_named_by_key_or_parent(records):
    some = [r for r in records if not r.round]
    plot, *_ = chart(sweep(records), some)
    found = {line.label: bars(line) for line in plot.lines}
    assert len(found["not in this report"]) == 6
    key = next(r for r in records if r.seed == 1 and r.round == 1).key
    assert found["failed or interrupted"][0][-1].startswith(f"after dense network, seed 1 ({key[:6]})\n100.0 seconds")
    later = next(r for r in records if r.round == 2).key
    assert f"round {later[:6]}\n100.0 seconds, attempt 1, exit 0" in [note for *_, note in found["not in this report"]]


def test_many_rounds_are_few_colours_and_a_light_page(records):
    ticket = next(r for r in records if r.round == 1)
    many = [replace(ticket, key=f"{i:012x}", round=i // 100) for i in range(2000)]
    plot, *_ = chart([ran(r, f"host:{i % 16}", 9 * (i // 16), 9 * (i // 16) + 9) for i, r in enumerate(many)], many)
    assert [line.label for line in plot.lines][:2] == ["rounds 0 to 3", "rounds 4 to 7"]
    assert len(plot.lines) == schedule.HUES
    assert len(json.dumps(interactive.spec(plot))) < 300 * len(many), "bytes"


def test_seconds_minutes_and_hours(records):
    titles = [chart(sweep(records, seconds), records)[0].title.partition(": makespan ")[2] for seconds in (0.5, 60, 6000)]
    assert titles == ["2.5 seconds", "5.0 minutes", "8.3 hours"]


def test_a_schedule_of_no_time_or_of_nonsense_upsets_nothing(records):
    assert schedule.parts([ran(records[0], "w", 5, 4), ran(records[0], "w", math.nan, 4)], records) == []
    assert chart(sweep(records), [])[0].lines[0].label == "not in this report"
    assert [line.label for line in chart([ran(records[0], "w", 5, 6, exit=1)], records)[0].lines] == ["failed or interrupted"]
    plot, _, below = chart([ran(records[0], "w", 5, 5)], records)
    assert below.endswith("children 0.0 seconds.")
    assert draw.saved(draw.draw(plot))
    assert interactive.spec(plot)["data"]
