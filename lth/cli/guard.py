"""What a command line may not say, so that neither it nor a file that it names can run code. Imports no torch."""

import re

from lth.errors import UsageError

# Configuration files of others could name any function of Python to be called, and a rerun reads a pickle.
# argparse takes beginnings of long options, and short ones with their value joined.
FOREIGN = re.compile(r"--config-.*|--c|--co.*|--e.*|-c[dpn].*|[+~]*hydra\.searchpath")
# hydra={...} could bring in any of these, so its keys are to be written whole.
CALLS = re.compile(r"_target_|^[+~]*hydra(=|[./@](callbacks|job_logging|hydra_logging)[.@=:])")


def check(arguments: list[str]) -> None:
    """Raise UsageError for what would have Hydra read files that are not lth's, or call functions by their names."""
    for argument in arguments:
        name = argument.partition("=")[0]
        if FOREIGN.fullmatch(name):
            raise UsageError(f"{name} is not accepted: configurations are lth's own; it takes key=value, such as prune.rate=0.2.")
        if CALLS.search(argument):
            raise UsageError(f"{argument} is not accepted: lth calls no function that a configuration names.")
