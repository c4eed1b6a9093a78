"""The notebook runs from top to bottom, and holds no outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "tickets.ipynb"
LESS = {"train_per_class=100": "train_per_class=12", "test_per_class=50": "test_per_class=8", "epochs=6": "epochs=2"}
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs():
    assert not any(cell["outputs"] or cell["execution_count"] for cell in CELLS)


def test_it_runs_from_top_to_bottom_in_an_empty_place(tmp_path):
    here = tmp_path / "notebooks"
    here.mkdir()
    script = here / "cells.py"  # in its order, in one process: what a kernel does, without one
    code = "\n\n".join("".join(cell["source"]) for cell in CELLS) + "\nprint(len(plt.get_fignums()), len(rounds))\n"
    for much, less in LESS.items():
        assert code.count(much) == 1
        code = code.replace(much, less)
    script.write_text(code)
    environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning:__main__"}
    told = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True, cwd=here, env=environment)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "6 14"
    assert (tmp_path / "outputs" / "results.csv").exists()
