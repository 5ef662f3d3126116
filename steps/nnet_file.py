"""Reading one file of conf/nnet as steps.train_nnet reads it."""

from pathlib import Path

from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from steps.cli import command
from steps.errors import InputError


def read_nnet_file(file: Path) -> tuple[ModelConfig, TrainConfig]:
    """Read the keys ``model`` and ``training`` of a YAML file; what is not there has its default.

    Parameters
    ----------
    file : Path

    Returns
    -------
    model : ModelConfig
    training : TrainConfig

    Raises
    ------
    InputError
        When the file is missing, or holds an unknown key or a value that cannot be.
    """
    if not file.is_file():
        raise InputError(f"{file}: there is no such file")
    read: list[tuple[ModelConfig, TrainConfig]] = []

    def nnet(model: ModelConfig = ModelConfig(), training: TrainConfig = TrainConfig()) -> None:
        read.append((model, training))

    try:
        command(nnet, [f"--config={file}"])  # the checks of every command's --config
    except SystemExit as stop:
        message = str(stop.code).removeprefix("error: ").partition("\n(--help")[0]  # lists other options than these
        raise InputError(message) from None
    [(model, training)] = read
    try:
        model.check()
        training.check()
    except ModelError as error:
        raise InputError(f"{file}: {error}") from error
    return model, training
