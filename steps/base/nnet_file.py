"""Reading files of conf/nnet as steps.train_nnet reads them."""

from pathlib import Path

from nnet.asgd.config import AsgdConfig
from nnet.config import ModelConfig, TrainConfig
from nnet.errors import ModelError
from steps.base.cli import command
from steps.base.errors import InputError


def read_nnet_file(*files: Path) -> tuple[ModelConfig, TrainConfig]:
    """Read the keys ``model`` and ``training`` of YAML files; what is not there has its default.

    Parameters
    ----------
    *files : Path
        Of what several say, the last one counts.

    Returns
    -------
    model : ModelConfig
    training : TrainConfig

    Raises
    ------
    InputError
        When a file is missing, or holds an unknown key or a value that cannot be.
    """
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: there is no such file")
    read: list[tuple[ModelConfig, TrainConfig]] = []

    def nnet(
        model: ModelConfig = ModelConfig(), training: TrainConfig = TrainConfig(), asgd: AsgdConfig = AsgdConfig()
    ) -> None:
        read.append((model, training))

    try:
        command(nnet, [f"--config={file}" for file in files])  # the checks of every command's --config
    except SystemExit as stop:
        message = str(stop.code).removeprefix("error: ").partition("\n(--help")[0]  # lists other options than these
        raise InputError(message) from None
    [(model, training)] = read
    try:
        model.check()
        training.check()
    except ModelError as error:
        raise InputError(f"{files[-1]}: {error}") from error
    return model, training
