"""What README and docs show is run: commands compose, snippets run, links lead somewhere, words are the field's."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import lth.report.__main__ as report
from lth.__main__ import COMMANDS as PROGRAMS
from lth.training.search import search
from tests import docs_reference
from tests.test_config import composed

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
README = TEXTS["README.md"]


def lines(program: str) -> list[str]:
    """The arguments of every command ``python -m lth.<program>`` that a page shows, in code blocks and in sentences."""
    found = set()
    for text in TEXTS.values():
        for block, sentence in re.findall(
            rf"^ {{4,}}(?:srun )?python -m lth\.{program}\b(.*)$|`python -m lth\.{program}\b([^`]*)`", text, re.M
        ):
            found.add(re.split(r"  +#| \|\||\s#", block or sentence)[0].strip())
    assert found, "the pattern finds the commands"
    found = {line for line in found if "--config-dir" not in line}  # one's own files: tests/test_run.py
    return sorted(found - {"...", "--help", "key=value"})


def jobs(line: str) -> list[list[str]]:
    """The overrides of enough jobs of a command that each value of a sweep is in one of them."""
    given = [word.replace("~/", "/tmp/") for word in shlex.split(line) if word not in ("-m", "--cfg", "job", "--dry-run")]
    names, values = [word.partition("=")[0] for word in given], [options(word) for word in given]
    return [
        [f"{name}={own[min(i, len(own) - 1)]}" for name, own in zip(names, values)]
        for i in range(max(map(len, values), default=1))
    ]


def options(word: str) -> list[str]:
    """The values of a word of a command, of an interval its ends."""
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return [word.partition("=")[2]]
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    return [override.value().start, override.value().end]


@pytest.mark.parametrize("line", lines("run"))
def test_every_run_command_composes(line):
    for overrides in jobs(line):
        composed(*overrides)
    assert ("-m" in line.split()) == (len(jobs(line)) > 1)


def test_every_report_command_is_taken():
    for line in lines("report"):
        report.parse(line.split())


def test_every_program_and_target_that_is_named_exists():
    named = {name for text in TEXTS.values() for name in re.findall(r"python -m lth\.(\w+)", text)}
    assert named == set(PROGRAMS)
    targets = {name for text in TEXTS.values() for name in re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, re.M)}
    assert targets <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Validated(MyModule):
    def validation_step(self, batch, batch_idx):
        logits = self.net(batch[0])
        loss = torch.nn.functional.cross_entropy(logits, batch[1])
        self.log_dict({"val/loss": loss, "val/acc": (logits.argmax(1) == batch[1]).float().mean()})


def my_data() -> DataLoader:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=16)


class MyDataModule(pl.LightningDataModule):
    def train_dataloader(self):
        return my_data()

    val_dataloader = train_dataloader


SNIPPETS = [(page, code) for page, text in TEXTS.items() for code in re.findall(r"```python\n(.*?)```", text, re.S)]
LOOP = next(code for page, code in SNIPPETS if page == "README.md" and "LotteryTicket" in code)
SNIPPETS.remove(("README.md", LOOP))  # it has a test of its own


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory) -> Path:
    """A folder with outputs/ of two rounds and a photograph, as the snippets have it."""
    place = tmp_path_factory.mktemp("snippets")
    config = composed(
        "data=folder", f"data.root={images}", "data.image_size=32", "data.batch_size=64", "model=resnet18", "model.weights=none",
        "epochs=1", "prune.rounds=1", "trainer=cpu", "logger=none", f"outputs={place / 'outputs'}",
    )  # fmt: skip
    search(config, say=lambda line: None)
    Image.new("RGB", (40, 30), "green").save(place / "photo.jpg")
    return place


@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=[f"{page}-{i}" for i, (page, _) in enumerate(SNIPPETS)])
def test_every_snippet_runs(page, code, finished, monkeypatch):
    monkeypatch.chdir(finished)
    module = Validated if "lth.search" in code else MyModule
    exec(code, {"MyModule": module, "MyData": my_data, "MyDataModule": MyDataModule})


def test_the_readme_s_loop_prints_what_remains(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(LOOP.strip().splitlines()) <= 10
    assert len(README.splitlines()) <= 150, "it is short"
    exec(LOOP, {"MyModule": MyModule, "MyData": my_data})
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    assert printed[0] == "round 0: 100.0% of weights"
    assert printed[5] == "round 5: 33.3% of weights"


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_leads_somewhere_and_every_page_and_picture_is_linked():
    linked = set()
    for page, text in TEXTS.items():
        for place, _, anchor in (link.partition("#") for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)):
            target = ((ROOT / page).parent / place).resolve() if place else ROOT / page
            assert target.exists(), f"{page}: {place}"
            assert not anchor or anchor in anchors(target.read_text()), f"{page}: {place}#{anchor}"
            linked.add(target)
    assert {path.resolve() for path in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/img/*")]} <= linked


RETIRED = (
    r"doctors?|proofs?|prove[sdn]?|seal(?:s|ed)?|digests?|fingerprints?|ledgers?|portraits?|savings?|witness(?:es)?|outlook|"
    r"said aloud|told|twins?|doors?|rooms?|sound|crowds?|ancestors?|pace|(?<!percentage )(?<!end )points?"
)


@pytest.mark.parametrize("page", TEXTS)
def test_no_retired_word_is_used(page):
    prose = TEXTS[page]
    for code in (r"(?s)```.*?```", r"(?m)^ {4,}.*$", r"`[^`\n]*`", r"\]\([^)]*\)"):
        prose = re.sub(code, "", prose)
    assert re.findall(rf"\b(?:{RETIRED})\b", " ".join(prose.split()), re.I) == []


def test_the_reference_is_up_to_date():
    assert docs_reference.PAGE.read_text() == docs_reference.text(), "run make reference"


def test_the_citation_and_the_changelog_name_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    version = project["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"[{version}]" in TEXTS["CHANGELOG.md"]
    assert all((ROOT / name).exists() for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
