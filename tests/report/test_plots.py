"""One plot, drawn by matplotlib and by plotly; tables and Markdown as HTML."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from plotly.io.json import to_json_plotly

from lth.report import details, draw, html, interactive
from lth.report.plot import Axis, Heat, Line, Lines, over_seeds, spread_out


@pytest.mark.parametrize(
    ("form", "values", "texts"),
    [
        ("log", [0.09, 0.3, math.nan, math.inf, 0], []),
        ("log", [3, 400], ["5", "10", "20", "50", "100", "200", "500"]),
        ("weights", [1, 0.01], ["1%", "2%", "5%", "10%", "20%", "50%", "100%"]),
        ("weights", [1, 0.8], ["80%", "100%"]),
        ("number", [1, 2], []),
    ],
)
def test_a_log_axis_has_round_numbers_or_is_linear_and_weights_are_never_without_numbers(form, values, texts):
    assert list(Axis("t", form).ticks(values).values()) == texts


def test_points_are_means_with_one_standard_deviation_or_gaps():
    line = over_seeds("a", [(1, 1.0), (2, 5.0), (1, 3.0), (3, 1.0), (3, math.inf)], {1: "one", 2: "two", 3: "three"})
    assert (line.label, line.x) == ("a (n = 1 to 2)", [1, 2, 3])
    assert np.allclose(line.y, [2, 5, math.nan], equal_nan=True)
    assert np.allclose(line.spread, [2**0.5, math.nan, math.nan], equal_nan=True)
    assert line.notes == ["one, ± 1.4, n = 2", "two, n = 1", "three, n = 1"]
    assert spread_out(range(12), 4) == [0, 4, 7, 11]
    assert spread_out([1, 2], 4) == [1, 2]


def test_both_drawings_show_the_same():
    line = Line("a", [1.0, 0.1], [3.0, 4.0], spread=[0.5, math.nan], marker="s", dash="--")
    plot = Lines("t", Axis("x", "weights"), Axis("y", "percent"), [line])
    axes = draw.draw(plot).axes[0]
    assert (axes.get_xscale(), axes.xaxis.get_inverted()) == ("log", True), "the dense network is at the left"
    assert np.ptp(axes.containers[0].lines[2][0].get_segments()[0], axis=0).tolist() == [0, 1]
    spec = json.loads(to_json_plotly(interactive.spec(plot)))
    assert (spec["layout"]["xaxis"]["type"], spec["layout"]["xaxis"]["autorange"]) == ("log", "reversed")
    assert spec["data"][0]["error_y"]["array"] == [0.5, None]
    assert (spec["data"][0]["mode"], spec["data"][0]["line"]["dash"]) == ("lines+markers", "dash")


@pytest.mark.parametrize("classes", [2, 6, 40])
def test_a_confusion_matrix_fits_its_classes(classes):
    heat = details.confusion(np.eye(classes), [f"class {i}" for i in range(classes)])
    axes = draw.draw(heat).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(heat.y.names)
    assert len(axes.texts) == (classes**2 if classes <= 20 else 0)
    assert ("texttemplate" in interactive.spec(heat)["data"][0]) == (classes <= 12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["a" * 150, "two\nlines", "数据", "$x_1$", "_below", "%{x}", "<b>"])
def test_no_name_of_a_class_upsets_a_figure(name):
    heat = details.confusion(np.eye(2), ["plain", name])
    lines = Lines("t", Axis("x", "names", ["plain", name]), Axis("y"), [Line(f"of {name}", [0, 1], [1, 2])])
    assert draw.saved(draw.draw(heat))
    assert draw.saved(draw.draw(lines), "svg")
    gallery = draw.gallery(np.zeros((2, 5, 5, 3), np.uint8), ["plain", name])
    assert [text.get_text() for text in gallery.texts] == ["plain", name]
    assert draw.saved(gallery)
    texts = interactive.spec(lines)["layout"]["xaxis"]["ticktext"]
    assert all(len(text) <= 40 and "\n" not in text for text in texts)
    assert "%{x}<br>y" not in interactive.spec(lines)["data"][0]["hovertemplate"]


def test_the_legend_covers_no_data_and_is_not_cut():
    lines = [Line(f"a long label of a line that has a number, {i}", [0, 1], [0, i]) for i in range(12)]
    figure = draw.draw(Lines("a title_with $signs", Axis("x"), Axis("y"), lines))
    figure.savefig(io.BytesIO())
    box = figure.legends[0].get_window_extent()
    assert box.y1 <= figure.axes[0].get_window_extent().y0
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_json_in_a_page_is_inert_and_strict():
    heat = Heat(
        "</script>", Axis("<b>", "names", ["a", "b"]), Axis("y", "names", ["</script>"]), "u", np.array([[math.nan, 1.5]])
    )
    text = to_json_plotly(interactive.spec(heat))
    assert "<" not in text
    assert json.loads(text)["data"][0]["z"] == [[None, 1.5]]


def test_markdown_of_ours_becomes_html():
    text = "**a <b>**\n\n| x | y |\n|---|---|\n| 1 | <i> |\n\n- one\n- `two`\n\nend"
    first, *table, items, end = html.markdown(text).split("\n")
    assert (first, items, end) == (
        "<p><strong>a &lt;b&gt;</strong></p>",
        "<ul><li>one</li><li><code>two</code></li></ul>",
        "<p>end</p>",
    )
    assert "".join(line.strip() for line in table).endswith("<tr><td>1</td><td>&lt;i&gt;</td></tr></tbody></table></div>")
    assert "x" * 200 in html.to_html(pd.DataFrame([["x" * 200]]))
