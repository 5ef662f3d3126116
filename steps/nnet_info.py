"""Show what a network of conf/nnet is made of, without training it."""

from dataclasses import asdict
from json import dumps
from pathlib import Path

from nnet.ranges import Count
from steps.base.cli import command
from steps.base.nnet_file import read_nnet_file
from steps.reporting.network import describe, layer_table, totals


def nnet_info(file: Path, input_dim: Count = 40, output_dim: Count = 14247, json: bool = False) -> None:
    """Show the layers, parameters, cost and latency of a network.

    The default dimensions are those of the paper, whose table counts parameters without biases.

    Parameters
    ----------
    file : Path
        A file of conf/nnet, as steps.train_nnet takes it.
    input_dim : int
        Dimension of the features.
    output_dim : int
        Number of pdfs.
    json : bool
        Print a JSON object instead of the table.

    Raises
    ------
    InputError
        When the file is missing or wrong.
    """
    config, _ = read_nnet_file(file)
    info = describe(config, input_dim, output_dim)
    print(dumps(asdict(info)) if json else f"{file}\n\n{layer_table(info)}\n\n{totals(info)}")


if __name__ == "__main__":
    command(nnet_info)
