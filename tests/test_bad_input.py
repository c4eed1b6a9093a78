"""Bad input of every kind: an exit code, one sentence, no traceback, and nothing that was finished is lost."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import lth.run
from lth.cli import usage
from lth.config import Config
from lth.errors import UsageError, notice_once
from tests import damage as D
from tests.bad import BASE, COMMANDS, FOLDERS, VALUES
from tests.conftest import write_parts
from tests.test_run import run


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("good"), 6, 3)


@pytest.fixture(scope="module")
def finished(good, tmp_path_factory) -> Path:
    """An outputs folder that bad input must leave as it is; all cases use it."""
    outputs = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lth", *BASE, f"data.root={good}", f"outputs={outputs}", "seed=77"])
        patch.setenv("HYDRA_FULL_ERROR", "0")
        patch.setattr("lth.cli.signals.listen", lambda: None)
        patch.chdir(outputs)
        lth.run.main()
    return outputs


def contents(outputs: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in (outputs / "rounds").rglob("*.*") if p.is_file() and ".locks" not in p.parts}


def keys(outputs: Path) -> set[str]:
    """Of the rows of results.csv; what its other columns are depends on what its rounds differ in."""
    return {line.partition(",")[0] for line in (outputs / "results.csv").read_text().splitlines()}


@pytest.fixture
def command(finished, monkeypatch, capsys, tmp_path):
    """A function that runs a command line in this process: the exit code, and stderr without the progress of rounds."""

    def call(*arguments: str) -> tuple[int, str]:
        for name, value in (("_failures", []), ("_records", [])):
            monkeypatch.setattr(lth.run, name, value, raising=False)
        monkeypatch.setattr(sys, "argv", ["lth", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr("lth.cli.signals.listen", lambda: None)
        monkeypatch.chdir(tmp_path)
        notice_once.cache_clear()
        before, rows = contents(finished), keys(finished)
        try:
            code = lth.run.main() or 0
        except SystemExit as error:
            code = error.code
        lines = capsys.readouterr().err.splitlines()
        assert before.items() <= contents(finished).items(), "nothing finished is touched"
        assert rows <= keys(finished)
        assert not list(tmp_path.rglob(D.MESSAGE)), "nothing ran"
        return code, "\n".join(line for line in lines if not re.match(r"(job \d+/\d+, )?round \d+/|lth: decoding", line))

    return call


@pytest.mark.parametrize(("override", "sentence"), VALUES, ids=[override for override, _ in VALUES])
def test_a_value_of_a_wrong_type_or_out_of_range(override, sentence):
    """By the schema alone, as ``lth.run`` applies it."""
    with pytest.raises((UsageError, OmegaConfBaseException)) as raised:
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.from_dotlist([override])))
    text = str(raised.value) if isinstance(raised.value, UsageError) else usage.sentence(raised.value)
    assert text.startswith(override.partition("=")[0])
    assert re.search(sentence, text), text
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize(("override", "sentence"), COMMANDS, ids=[override for override, _ in COMMANDS])
def test_an_argument_that_is_refused(command, good, finished, override, sentence):
    code, text = command(*BASE, f"data.root={good}", f"outputs={finished}", override)
    assert (code, len(text.splitlines())) == (2, 1), text
    assert text.startswith("lth: ")
    assert override.partition("=")[0].lstrip("+~") in text or "takes the name of a choice" in text
    assert re.search(sentence, text), text
    assert text.endswith((".", ")"))


@pytest.mark.parametrize(("change", "arguments", "code", "sentence"), [f[1:] for f in FOLDERS], ids=[f[0] for f in FOLDERS])
def test_a_folder_a_file_or_a_training(command, good, finished, tmp_path, change, arguments, code, sentence):
    if change is D.unreadable and os.geteuid() == 0:
        pytest.skip("root reads everything")
    root = shutil.copytree(good, tmp_path / "ä folder") if change else good
    if change:
        change(root)
    overrides = [f"data.root={root}", f"outputs={finished}", *(a.format(root=root) for a in arguments)]
    last = {override.partition("=")[0]: override.partition("=") for override in overrides}
    got, text = command(
        *BASE, *(f"{key}{sign}'{value}'" if "/" in value else f"{key}{sign}{value}" for key, sign, value in last.values())
    )
    assert got == code, text
    assert len(text.splitlines()) == bool(sentence), text
    assert text.startswith("lth: " if sentence else "")
    assert re.search(sentence, text), text


def test_the_last_good_checkpoint_of_a_training_that_diverges_is_named(command, good, tmp_path):
    outputs = tmp_path / "o"
    slow = ["optim.lr=1e4", "optim.name=sgd", "optim.momentum=0.99", "epochs=200", "trainer.checkpoint_minutes=1e-9"]
    code, text = command(*BASE, f"data.root={good}", f"outputs={outputs}", *slow)
    assert code == 1
    [path] = (outputs / "checkpoints").glob("*.safetensors")
    sentence = re.fullmatch(
        r"lth: the \w+ loss is \w+ at iteration (\d+), epoch \d+: training stopped, the round is not finished; "
        r"its last good checkpoint is (.*), iteration (\d+)\. A lower optim\.lr, or optim\.clip=1, may help\.",
        text,
    )
    assert sentence, text
    assert Path(sentence[2]) == path
    assert 0 < int(sentence[3]) < int(sentence[1])
    assert not list(outputs.glob("rounds/*/round.json"))


@pytest.mark.parametrize(("override", "code"), [("prune.rate=2", 2), ("data.root=/nowhere", 1)])
def test_as_a_user_types_it(good, finished, override, code):
    process = run(*BASE, f"data.root={good}", f"outputs={finished}", override)
    assert process.returncode == code
    assert re.fullmatch(r"lth: .*\.\n", process.stderr)


def test_a_leak_is_named_once_in_a_sweep(command, good, tmp_path):
    root = shutil.copytree(good, tmp_path / "d")
    D.leak(root)
    code, text = command("-m", *BASE, f"data.root={root}", f"outputs={tmp_path}/o", "seed=0,1")
    assert code == 0, text
    assert text.count("byte by byte: 2 of 11") == 1
