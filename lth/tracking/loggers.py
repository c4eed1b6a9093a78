"""Lightning's loggers, by the name that ``logger=`` takes. Imports no torch before ``make``."""

from pathlib import Path
from typing import Any

from lth.config import Logger
from lth.errors import require_package

PACKAGES = {"wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy")}  # by extra of pyproject.toml


def require(name: str) -> None:
    """Raise UsageError if a package of a logger is not installed."""
    for package in PACKAGES.get(name, ()):
        require_package(package, f"logger={name}", name)


def make(logger: Logger, folder: Path, outputs: Path) -> list[Any]:
    """Return the loggers of a round: TensorBoard and CSV write into its folder, W&B and MLflow into ``outputs``."""
    from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

    match logger.name:
        case "tensorboard":
            return [TensorBoardLogger(folder, name="", version="", default_hp_metric=False)]
        case "csv":
            return [CSVLogger(folder, name="", version="lightning")]
        case "wandb":
            import wandb

            wandb.finish()  # the run of a round that failed: Lightning would continue it
            (outputs / "wandb").mkdir(parents=True, exist_ok=True)  # or else W&B takes a temporary folder
            settings = wandb.Settings(silent=True)
            return [WandbLogger(folder.name, outputs, offline=logger.offline, project=logger.project, settings=settings)]
        case "mlflow":
            uri = logger.uri or f"sqlite:///{outputs.resolve() / 'mlflow.db'}"  # MLflow 3 takes no folder any more
            return [MLFlowLogger(logger.project, run_name=folder.name, tracking_uri=uri)]
    return []
