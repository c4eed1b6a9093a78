"""Gradual pruning stands beside what has as many weights and took as many epochs."""

from lth.analysis import rivals
from lth.analysis.ends import EARLY_STOP
from lth.analysis.statement import text
from tests.analysis.invent import arm

DENSE = [0.5, 0.6, 0.7]


def rows(part: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines()[4:]]


def test_each_number_of_weights_has_a_table_of_arms_that_took_as_long():
    """Two rounds after a dense network take 30 epochs, so does one training of 30, and one shot with trainings of 15."""
    gradual = {"settings": {"prune.schedule": "gradual"}, "levels": 2, "epochs": 30, "step": "gradual"}
    other = gradual | {"settings": gradual["settings"] | {"prune.end": 0.5}, "step": "sooner"}
    records = [
        *arm(1, [0.7, 0.7, 0.8], **other), *arm(0, DENSE), *arm(1, [0.6, 0.7, 0.8]), *arm(2, [0.71, 0.80, 0.90]),
        *arm(1, [0.70, 0.81, 0.90], **gradual, censored=True), *arm(0, [0.8, 0.9], epochs=30, recipe="longer"),
        *arm(1, [0.6, 0.7, 0.8], levels=2, epochs=15, recipe="shot"), *arm(1, [0.1, 0.1, 0.1], levels=2),
        *arm(2, DENSE, control="reinit"), *arm(2, DENSE, family="another", recipe="other"), *arm(3, DENSE),
    ]  # fmt: skip
    [part] = rivals.parts(records, EARLY_STOP)
    first, *others = rows(part)
    assert "beside other ways to 64.00% of weights that take 30 epochs in all" in part
    assert first[1:] == ["64.00%", "3", "0.803 ± 0.100", "-", "3 of 3"]
    assert {row[0].partition(", ")[2]: row[3:5] for row in others} == {
        "recipe abcdef, 20% a round": ["0.803 ± 0.095", "+0.00 [-2.48, +2.48]"],
        "recipe abcdef, gradual to rounds of 20%, end 0.5": ["0.733 ± 0.058", "-7.00 [-22.11, +8.11]"],
        "recipe longer, dense": ["0.850 ± 0.071", "+9.50 [+3.15, +15.85]"],
        "recipe shot, one shot to rounds of 20%": ["0.700 ± 0.100", "-10.33 [-11.77, -8.90]"],
    }
    assert part in text(records)
    assert rivals.parts([r for r in records if not r.gradual], EARLY_STOP) == []
