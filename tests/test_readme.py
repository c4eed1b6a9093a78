"""What the README shows is run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^\s*(python -m lth\.run .*)$", TEXT, re.M)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command):
    arguments = command.split("#")[0].replace("~/", "/tmp/").split()[3:]
    first = [a.split(",")[0] for a in arguments if a != "-m"]
    told = subprocess.run([sys.executable, "-m", "lth.run", *first, "--cfg", "job"], check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_the_doctor_s_command_is_one(tmp_path):
    [command] = re.findall(r"^    (python -m lth\.verify .*)$", TEXT, re.M)
    arguments = command.split("#")[0].split()[2:]
    told = subprocess.run([sys.executable, "-m", *arguments], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (2, "lth: outputs is no folder; name the outputs of an experiment.\n")


def test_there_are_commands():
    assert len(COMMANDS) >= 5


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def my_data() -> DataLoader:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=16)


def test_the_callback_script_runs_as_shown(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = re.search(r"```python\n(.*?LotteryTicket.*?)```", TEXT, re.S)[1]
    assert len(script.strip().splitlines()) <= 10
    exec(script, {"MyModule": MyModule, "MyData": my_data})
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    assert lines[0] == "round 0: 100.0% of weights"
    assert lines[5] == "round 5: 33.3% of weights"


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
