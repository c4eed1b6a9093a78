"""One plot, drawn by matplotlib and by plotly; HTML of tables and Markdown."""

import json
import math

import numpy as np
import pytest
from plotly.io.json import to_json_plotly

from lth.report import details, draw, html, interactive
from lth.report.plot import Heat, Line, Lines, brief, over_seeds, spread_out, ticks


def test_a_log_axis_has_round_numbers_or_is_linear():
    assert ticks("log", [0.09, 0.3])[0] == [0.1, 0.15, 0.2, 0.3]
    assert ticks("log", [3, 400])[0] == [5, 10, 20, 50, 100, 200, 500]
    assert ticks("log", [0.61, 0.66]) is None, "less than three round numbers"
    assert ticks("log", [0, None, math.inf, math.nan]) is None
    assert ticks("weights", [1, 0.8, 0.002])[1][-1] == "100%"
    assert ticks("weights", [1, 0.8]) == ([0.8, 1], ["80%", "100%"]), "never an axis with one number"


def test_points_are_means_with_one_standard_deviation_or_gaps():
    line = over_seeds("a", [1, 2, 3], [[1.0, 3.0], [5.0], [1.0, math.inf]])
    assert line.y == [2, 5, None]
    assert line.spread == [pytest.approx(2**0.5), None, None]
    assert line.notes == ["± 1.4, 2 seeds", "1 seed", "1 seed"]


def test_values_are_thinned_evenly_with_both_ends():
    assert spread_out(range(12), 4) == [0, 4, 7, 11]
    assert spread_out([1, 2], 4) == [1, 2]


def test_a_band_is_open_where_a_point_has_none():
    line = Line("a", [1, 0.8, 0.5, 0.4, 0.3], [1.0, 2, 3, 4, 5], spread=[0.5, 0.25, None, 1, 2])
    band = interactive.spec(Lines("t", "x", "y", [line]))["data"][0]
    assert band["x"] == [1, 0.8, 0.8, 1, None, 0.4, 0.3, 0.3, 0.4]
    assert band["y"] == [1.5, 2.25, 1.75, 0.5, None, 5, 7, 3, 3]
    [shape] = draw.draw(Lines("t", "x", "y", [line])).axes[0].collections
    spans = [path.vertices[:, 0] for path in shape.get_paths()]
    assert not any((x.min() < 0.5) & (x.max() > 0.5) for x in spans)


@pytest.mark.parametrize("which", ["x", "y"])
def test_error_bars_lie_along_their_axis_in_both_drawings(which):
    plot = Lines("t", "x", "y", [Line("a", [1.0, 2.0], [3.0, 4.0], spread=[0.5, None], spread_as=which)])
    assert interactive.spec(plot)["data"][0][f"error_{which}"]["array"] == [0.5, None]
    bars = draw.draw(plot).axes[0].containers[0].lines[2][0].get_segments()[0]
    assert np.ptp(bars, axis=0).tolist() == ([1, 0] if which == "x" else [0, 1])


def test_weights_have_the_dense_network_at_the_left_and_names_run_down():
    plot = Lines("t", "x", "y", [Line("a", [1.0, 0.1], [0, 1])], "weights", "names", ["one", "two"])
    axes = draw.draw(plot).axes[0]
    assert (axes.get_xscale(), axes.xaxis.get_inverted(), axes.yaxis.get_inverted()) == ("log", True, True)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["one", "two"]
    layout = interactive.spec(plot)["layout"]
    assert layout["xaxis"]["type"] == "log"
    assert layout["xaxis"]["autorange"] == layout["yaxis"]["autorange"] == "reversed"


@pytest.mark.parametrize("classes", [2, 6, 40])
def test_a_confusion_matrix_fits_its_classes(classes):
    heat = details.confusion(np.eye(classes), [f"class {i}" for i in range(classes)])
    axes = draw.draw(heat).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(heat.rows)
    assert len(axes.texts) == (classes**2 if classes <= 20 else 0)
    assert ("text" in interactive.spec(heat)["data"][0]) == (classes <= 12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["a" * 150, "two\nlines", "数据", "$x_1$", "_below", "%{x}", "<b>"])
def test_no_name_of_a_class_upsets_a_figure(name):
    heat = details.confusion(np.eye(2), ["plain", name])
    lines = Lines("t", "x", "y", [Line(f"of {name}", [0, 1], [1, 2])], "names", names=["plain", name])
    assert draw.saved(draw.draw(heat))
    assert draw.saved(draw.draw(lines), "svg")
    assert draw.saved(draw.gallery(np.zeros((2, 5, 5, 3), np.uint8), ["plain", name]))
    texts = interactive.spec(lines)["layout"]["xaxis"]["ticktext"]
    assert all(len(text) <= 40 and "\n" not in text for text in texts)
    assert "%{x}<br>y" not in interactive.spec(lines)["data"][0]["hovertemplate"]


def test_the_gallery_shows_each_image_with_its_title():
    figure = draw.gallery(np.zeros((8, 5, 5, 3), np.uint8), [f"image {i}" for i in range(8)])
    assert [axes.get_title() for axes in figure.axes] == [f"image {i}" for i in range(8)]


def test_json_in_a_page_is_inert_and_strict():
    heat = Heat("</script>", "<b>", "y", "u", np.array([[math.nan, 1.23456789]]), ["a", "b"], ["</script>"])
    text = to_json_plotly(interactive.spec(heat))
    assert "<" not in text
    assert json.loads(text)["data"][0]["z"] == [[None, 1.23456789]]
    assert json.loads(text)["data"][0]["text"] == [["", "1.2"]]
    assert brief("x" * 40) == "x" * 11 + "…" + "x" * 12


def test_markdown_of_ours_becomes_html():
    text = "**a <b>**\n\n| x | y |\n|---|---|\n| 1 | <i> |\n\n- one\n- `two`\n\nend"
    assert html.markdown(text).split("\n") == [
        "<p><strong>a &lt;b&gt;</strong></p>",
        '<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">x</th><th scope="col">y</th></tr></thead><tbody>',
        '<tr><td class="number">1</td><td>&lt;i&gt;</td></tr>',
        "</tbody></table></div>",
        "<ul><li>one</li><li><code>two</code></li></ul>",
        "<p>end</p>",
    ]
    assert "The first 500 of 501 rows; all are in x.csv." in html.table(["a"], [["1"]] * 501, "; all are in x.csv")
