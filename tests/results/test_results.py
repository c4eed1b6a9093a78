import io

import numpy as np
import pytest

from lth.results import figures, table


def record(seed: int, k: int, rate: float = 0.2, at_once: int = 1, model: str = "simple_cnn", **changes) -> dict:
    density = (1 - rate) ** (k * at_once)
    scores = dict.fromkeys(("train_acc", "val_acc", "test_acc", "best_test_acc"), 0.5 + 0.01 * k + 0.02 * seed)
    return {
        "seed": seed, "round": k, "density": density, "model": model, "rate": rate if k else None, "at_once": at_once,
        "early_stop_iteration": 96, "seconds": 12.345, "finetune": "all", "data": "scenes", "speedup": 1.5,
        "recipe": "abcdef012345", "step": f"{rate} {at_once}" if k else "", **scores, **changes,
    }  # fmt: skip


CHAINS = [record(s, k) for s in (0, 1) for k in range(4)]


def test_the_table_has_a_row_a_round_and_prints_percent():
    lines = table.table(CHAINS[:4]).splitlines()
    assert len(lines) == 2 + 4
    assert len({len(line) for line in lines}) == 1
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert cells == ["0", "1", "80.00%", "0.510", "0.510", "0.510", "0.510", "96", "1.50x", "12.3"]


def test_the_summary_has_mean_and_deviation_over_seeds():
    rows = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in table.summary([*CHAINS, record(0, 1, 0.2, 3)]).splitlines()[2:]
    ]
    assert len(rows) == 4 + 1
    assert rows[0][:8] == ["abcdef", "simple_cnn", "all", "dense", "0", "100.00%", "2", "0.510 ± 0.014"]
    assert rows[1][3:7] == ["0.2", "1", "80.00%", "2"]
    assert rows[4][3:8] == ["0.2 x 3", "1", "51.20%", "1", "0.510"]


def lines(figure) -> dict[str, np.ndarray]:
    return {line.get_label(): np.column_stack(line.get_data()) for line in figure.axes[0].get_lines()}


def test_the_figure_shows_the_mean_over_seeds_and_the_dense_network():
    figure = figures.accuracy(CHAINS, "title")
    drawn = lines(figure)
    assert set(drawn) == {"simple_cnn, 20% a round (n = 2 seeds)", "dense network, 51%"}
    expected = [[0.8**k, 0.51 + 0.01 * k] for k in range(4)]
    assert np.allclose(drawn["simple_cnn, 20% a round (n = 2 seeds)"], expected)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] > axes.get_xlim()[1], "dense at the left"
    assert len(axes.collections) == 1, "a band of one standard deviation"


def test_a_line_for_each_recipe():
    figure = figures.accuracy([*CHAINS, record(0, 1, 0.5), record(0, 1, 0.2, 3), record(0, 1, 0.2, 6)])
    assert {"simple_cnn, 50% a round", "simple_cnn, one shot to rounds of 20%"} < set(lines(figure))
    assert np.allclose(lines(figure)["simple_cnn, one shot to rounds of 20%"][:, 0], [0.8**3, 0.8**6])


def test_a_dense_network_alone_is_drawn():
    assert set(lines(figures.accuracy([record(0, 0)]))) == {"dense network, 50%"}


@pytest.mark.parametrize("classes", [2, 6, 40])
def test_the_confusion_matrix_fits_its_classes(classes):
    names = [f"class {i}" for i in range(classes)]
    axes = figures.confusion(np.diag(np.arange(classes)), names).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == names
    assert len(axes.texts) == (classes**2 if classes <= 20 else 0)


def test_the_gallery_shows_each_image_with_its_title():
    figure = figures.gallery(np.zeros((8, 5, 5, 3), np.uint8), [f"image {i}" for i in range(8)])
    assert [axes.get_title() for axes in figure.axes] == [f"image {i}" for i in range(8)]


def test_other_recipes_are_never_averaged_as_seeds():
    other = [r | {"recipe": "123456789abc", "test_acc": 0.9} for r in CHAINS]
    assert len(table.summary([*CHAINS, *other]).splitlines()) == 2 + 8
    assert len(lines(figures.accuracy([*CHAINS, *other]))) == 4


def test_class_names_are_not_read_as_formulas():
    names = ["$5_$10", "a$_$b"]
    figures.confusion(np.eye(2), names).savefig(io.BytesIO())
    figures.gallery(np.zeros((2, 5, 5, 3), np.uint8), names).savefig(io.BytesIO())
