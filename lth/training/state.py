"""The state of a training besides its network: random generators, loss scaler, learning-rate schedules."""

from typing import Any

import pytorch_lightning as pl
import torch

from lth.training.task import State

COUNTS = {"growth_interval", "_growth_tracker"}  # of a loss scaler's state; the rest are factors


def generators(device: torch.device) -> State:
    """Return the states of the generators that a training on ``device`` draws from, by device type."""
    states = {"cpu": torch.get_rng_state()}
    return states if device.type == "cpu" else states | {device.type: torch.get_device_module(device).get_rng_state()}


def set_generators(states: State) -> None:
    """Set the generators to what ``generators`` returned."""
    for kind, state in states.items():
        if kind == "cpu":
            torch.set_rng_state(state)
        else:
            torch.get_device_module(kind).set_rng_state(state)


def scaler(precision: Any) -> State:
    """Return the state of the loss scaler of a precision plugin, as scalars; empty where it has none."""
    grad_scaler = getattr(precision, "scaler", None)
    state = grad_scaler.state_dict() if grad_scaler is not None else {}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}


def set_scaler(precision: Any, state: State) -> None:
    """Give the loss scaler of a precision plugin the state that ``scaler`` returned."""
    grad_scaler = getattr(precision, "scaler", None)
    if state and grad_scaler is not None:
        grad_scaler.load_state_dict({n: int(t) if n in COUNTS else float(t) for n, t in state.items()})


def schedules(trainer: pl.Trainer) -> list[dict[str, Any]]:
    """Return the state of each learning-rate scheduler and the hyper-parameters of its optimiser's groups, plain values."""
    states = []
    for config in trainer.lr_scheduler_configs:
        groups = [{k: v for k, v in group.items() if k != "params"} for group in config.scheduler.optimizer.param_groups]
        states.append({"scheduler": _without_functions(config.scheduler.state_dict()), "groups": groups})
    return states


def _without_functions(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if not callable(value)}


def set_schedules(trainer: pl.Trainer, states: list[dict[str, Any]]) -> None:
    """Give schedulers and groups what ``schedules`` returned; those of ``lr_lambdas`` stay as they are."""
    for config, state in zip(trainer.lr_scheduler_configs, states):
        config.scheduler.load_state_dict(config.scheduler.state_dict() | state["scheduler"])
        for group, values in zip(config.scheduler.optimizer.param_groups, state["groups"]):
            group.update({k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
