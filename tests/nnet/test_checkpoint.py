"""A checkpoint that cannot be taken up names the file that has to go."""

import pytest

from nnet.asgd.checkpoint import load_worker_states
from nnet.checkpoint import TrainingState, load_checkpoint
from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.train import train
from tests.nnet import synthetic
from tests.nnet.synthetic import small_model

REMEDY = "; remove this file: the same command then starts the training anew$"


@pytest.fixture
def checkpoint(tmp_path):
    """The path of a whole one, and a function that goes on from it."""
    data = synthetic.bits(3, 0)

    def run(**changes):
        train(small_model(**changes), data, data, TrainConfig(epochs=1), tmp_path, threads=1)

    run()
    return tmp_path / "checkpoint.safetensors", run


def test_checkpoint_of_another_model_is_refused(checkpoint):
    path, run = checkpoint
    with pytest.raises(ModelError, match=rf"(?s)^{path} is not a checkpoint of this training run: .*{REMEDY}"):
        run(cells=10)


def test_a_damaged_checkpoint_has_to_be_removed_and_then_training_starts_anew(checkpoint):
    path, run = checkpoint
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[: len(whole) // 2], bytes(len(whole))):
        path.write_bytes(damaged)
        message = rf"^{path} is not a whole safetensors file .*{REMEDY}"
        with pytest.raises(ModelError, match=message):
            run()
        with pytest.raises(ModelError, match=message):
            load_worker_states(path)
    path.unlink()
    run()
    path.write_bytes(whole.replace(b'\\"epoch\\"', b'\\"epoxy\\"'))
    with pytest.raises(ModelError, match=REMEDY):
        load_checkpoint(path, TrainingState(small_model().output.weight))
