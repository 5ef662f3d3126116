"""The parameter server in one process is the algorithm that many processes run."""

from dataclasses import replace
from functools import partial

import torch

from nnet.asgd.config import AsgdConfig
from nnet.asgd.reference import train_in_turns
from nnet.asgd.shard import new_shard, parameter_slices
from nnet.asgd.training import train_asgd
from nnet.chunks import Epochs, Position
from nnet.config import TrainConfig
from nnet.data import training_chunks
from nnet.gradient import Replicas, train_chunk
from nnet.losses import loss_named
from nnet.model import Network, initialise
from nnet.threads import set_threads
from nnet.train import train
from tests.nnet import synthetic
from tests.nnet.synthetic import weights

SEED = 3
TRAINING = TrainConfig(streams=4, epochs=2, initial_lr=0.01, final_lr=0.001, average="last")
REGULARISED = replace(TRAINING, dropout_schedule="0,0.5@0.5,0", weight_decay=0.1, average="ema")
DATA, DEV = synthetic.bits(20, -2), synthetic.bits(5, -2, 1)
PLANNED = 2 * sum(len(targets) for _, targets in DATA.values())


def network():
    made = Network(synthetic.RECURRENT, input_dim=2, num_pdfs=2)
    initialise(made, seed=1)
    return made


def worker(names, epochs, seed=SEED):
    """The gradients of a worker's chunks, one after another."""
    replicas, state = Replicas(network()), []
    order = Epochs(names, seed, epochs)
    chunks = training_chunks(synthetic.RECURRENT, TRAINING, DATA, order, seed, Position())

    def gradient(params):
        nonlocal state
        replicas.params.copy_(params)
        sums, state = train_chunk(replicas, next(chunks), state, TRAINING, loss_named(TRAINING.loss))
        state = [(c.detach(), r.detach()) for c, r in state]
        return replicas.grad, sums.frames

    return gradient


def in_turns(workers, shards):
    params = Replicas(network()).params
    slices = parameter_slices(len(params), shards)
    shards = [new_shard(params[part].clone(), TRAINING, PLANNED) for part in slices]
    set_threads(1)
    torch.manual_seed(SEED)  # of dropout
    return train_in_turns(shards, workers, PLANNED)


def test_one_worker_gives_the_bits_of_plain_and_of_asynchronous_training(tmp_path):
    params = in_turns([worker(list(DATA), TRAINING.epochs)], shards=1)
    plain, alone = network(), network()
    for name in ("plain", "asgd"):
        (tmp_path / name).mkdir()
    train(plain, DATA, DEV, TRAINING, tmp_path / "plain", SEED, threads=1)
    train_asgd(alone, DATA, DEV, TRAINING, AsgdConfig(shards=1), tmp_path / "asgd", SEED, workers=1)
    expected = network()
    replicas = Replicas(expected)
    replicas.params.copy_(params)
    assert torch.equal(weights(expected), weights(plain))
    assert torch.equal(weights(expected), weights(alone))


def test_one_worker_drops_and_decays_as_plain_training_does(tmp_path):
    found = []
    for name, run in (("plain", train), ("asgd", partial(train_asgd, asgd=AsgdConfig(shards=3), workers=1))):
        (tmp_path / name).mkdir()
        found.append(network())
        run(found[-1], DATA, DEV, REGULARISED, directory=tmp_path / name, seed=SEED, threads=1)
    assert torch.equal(*map(weights, found))


def test_several_workers_learn_on_any_number_of_shards():
    found = []
    for shards in (1, 3):
        names = sorted(DATA)
        found.append(in_turns([worker(names[k::2], 100, seed=k) for k in range(2)], shards))
    torch.testing.assert_close(*found)
    assert not torch.equal(found[0], Replicas(network()).params)
