"""The page in a real browser."""

import sys
from pathlib import Path

import pytest

import lth.report.__main__ as report
from lth.tree import attempts
from lth.tree.attempts import Attempt
from lth.tree.record import read
from tests.report import browser
from tests.report.invent_rounds import outputs

pytestmark = [
    pytest.mark.skipif(browser.EXECUTABLE is None, reason="no chromium is installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the browser is driven over pipes of POSIX"),
]
EVIL = ["<script>window.evil = 1</script>", "<img src=x onerror='window.evil = 2'>", "<a href='javascript:evil=3'>x</a>"]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    root = outputs(tmp_path_factory.mktemp("outputs"), classes=EVIL, command=EVIL[0], finetune=EVIL[1])
    (root / "rounds" / EVIL[1]).mkdir()
    attempts.append(
        root, [Attempt(r.key, r.parent or "", EVIL[1], 100 * i, 100 * i + 90, 1, 0) for i, r in enumerate(read(root).records)]
    )
    report.report([str(root)])
    return root / "report" / "report.html"


@pytest.fixture(scope="module", params=[1280, 390])
def page(path, tmp_path_factory, request):
    page = browser.Page(tmp_path_factory.mktemp("profile"), width=request.param)
    try:
        page.open(path)
        page.wait("document.documentElement?.dataset.drawn")
        yield page
    finally:
        page.close()


def test_the_page_fits_the_window_and_makes_no_request_and_no_error(page, path):
    asked = [params["request"]["url"] for method, params in page.events if method == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [path.resolve().as_uri()]
    errors = [params for method, params in page.events if method in ("Runtime.exceptionThrown", "Log.entryAdded")]
    errors += [p for m, p in page.events if m == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning")]
    assert errors == []
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_names_from_files_run_nothing(page):
    assert page.run("window.evil") is None
    assert page.run("document.querySelectorAll('img[src=x], a[href^=javascript]').length") == 0
    assert page.run("document.querySelector('h2 + pre').textContent").endswith(EVIL[0])


def test_every_figure_is_drawn_and_every_series_named(page):
    assert page.run("[...document.querySelectorAll('.plot')].every(box => box.querySelector('.main-svg'))")
    assert page.run("document.querySelectorAll('.plot').length") == 15
    lines = "[...document.querySelectorAll('.plot')].filter(box => !box.querySelector('.heatmaplayer image, .hm'))"
    assert page.run(f"{lines}.every(box => box.previousElementSibling.querySelectorAll('.chooser input').length > 0)")


def test_hover_shows_values(page):
    page.run("document.getElementById('accuracy-stripes').scrollIntoView({block: 'center'})")
    x, y = page.run(
        "(() => { const point = document.querySelector('#accuracy-stripes .scatterlayer .point').getBoundingClientRect();"
        " return [point.x + point.width / 2, point.y + point.height / 2]; })()"
    )
    page.mouse("mouseMoved", x - 2, y - 2)
    page.mouse("mouseMoved", x, y)
    text = page.wait("document.querySelector('#accuracy-stripes .hoverlayer .hovertext')?.textContent")
    assert "test accuracy" in text
    assert "n = 2" in text


def test_hover_finds_a_bar_between_its_ends(page):
    page.run("document.getElementById('schedule').scrollIntoView({block: 'center'})")
    x, y, long = page.run(
        "(() => { const bar = document.querySelector('#schedule .scatterlayer .js-line').getBoundingClientRect();"
        " return [bar.x, bar.y + bar.height / 2, bar.width]; })()"
    )
    page.mouse("mouseMoved", x + long / 2 - 2, y)
    page.mouse("mouseMoved", x + long / 2, y)
    text = page.wait("document.querySelector('#schedule .hoverlayer .hovertext')?.textContent")
    assert "90.0 seconds, attempt 1, exit 0" in text


def test_the_chooser_hides_and_shows_series(page):
    shown = "document.querySelectorAll('#accuracy-stripes .scatterlayer .trace').length"
    before = page.run(shown)
    box = "document.getElementById('accuracy-stripes').previousElementSibling.querySelector('input')"
    page.run(f"{box}.scrollIntoView({{block: 'center'}})")
    x, y = page.run(f"(() => {{ const b = {box}.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()")
    for checked, number in ((False, before - 1), (True, before)):
        page.mouse("mousePressed", x, y)
        page.mouse("mouseReleased", x, y)
        assert page.run(f"{box}.checked") is checked
        page.wait(f"{shown} === {number}")


def test_the_dark_and_the_light_are_legible(page):
    ink = "getComputedStyle(document.querySelector('#accuracy-stripes .xtick text')).fill"
    seen = []
    for scheme in ("dark", "light"):
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.wait(f"{ink} === getComputedStyle(document.body).color")
        seen.append(page.run(ink))
    assert len(set(seen)) == 2
