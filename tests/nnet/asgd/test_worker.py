"""A worker's loop with messages of a coordinator that is not there."""

from dataclasses import replace

import torch

from nnet.asgd.checkpoint import load_worker_states, worker_states_to_save
from nnet.asgd.config import AsgdConfig
from nnet.asgd.local_server import LocalServer, create_shards
from nnet.asgd.messages import AddUtterances, EpochEnd, Job, Report, StateRequest, Stop, WorkerState
from nnet.asgd.shard import new_shard, parameter_slices
from nnet.asgd.training import deal_out, resume
from nnet.asgd.worker import work
from nnet.config import TrainConfig
from nnet.files import write_tensors
from nnet.model import Network, initialise
from nnet.optimizer import flatten
from tests.nnet import synthetic

TRAINING = TrainConfig(streams=2, frames=20, epochs=4, initial_lr=0.01, final_lr=0.001)


class Read(dict):
    """Remembers what was asked for."""

    def __init__(self, data):
        super().__init__(data)
        self.names = []

    def __getitem__(self, name):
        self.names.append(name)
        return super().__getitem__(name)


class Scripted:
    """Gives messages after so many reports, and keeps what the worker sends."""

    def __init__(self, messages):
        self.messages, self.sent = dict(messages), []

    @property
    def reports(self):
        return [message for message in self.sent if isinstance(message, Report)]

    def send(self, message):
        self.sent.append(message)

    def receive(self):
        return self.messages.pop(len(self.reports), None)


def run(messages, push_every=1, state=None, frames_per_epoch=500, training=TRAINING):
    reader = Read(synthetic.bits(10, -2))
    model = Network(synthetic.RECURRENT, 2, 2)
    initialise(model, 1)
    params, _ = flatten(model)
    shards = [
        new_shard(params[part].clone(), training, 4 * frames_per_epoch) for part in parameter_slices(len(params), 2)
    ]
    server, channel = LocalServer(create_shards(shards)), Scripted(messages)
    state = state or WorkerState(tuple(sorted(reader)[:5]))
    asgd = AsgdConfig(push_every=push_every)
    ends = tuple(frames_per_epoch * epoch for epoch in range(1, training.epochs + 1))
    work(Job(0, state, synthetic.RECURRENT, 2, 2, training, asgd, reader, 1, 1, ends), server, channel)
    return reader, channel, server


def test_the_planned_frames_and_the_end_of_each_epoch():
    reader, channel, server = run({})
    assert set(reader.names) == {f"u{i:03}" for i in range(5)}
    assert sum(report.sums.frames for report in channel.reports) == server.counts().frames >= 2000
    assert channel.reports[-2].pushed.counts.frames < 2000
    ends = [message for message in channel.sent if isinstance(message, EpochEnd)]
    assert [end.epoch for end in ends] == [1, 2, 3, 4]
    assert torch.equal(ends[-1].params, server.state()[0])


def test_another_workers_utterances_are_taken_over():
    reader, channel, _ = run({3: AddUtterances(tuple(f"u{i:03}" for i in range(5, 10))), 4: StateRequest()})
    assert set(reader.names) == {f"u{i:03}" for i in range(10)}
    (state,) = [message for message in channel.sent if isinstance(message, WorkerState)]
    assert state.utterances == tuple(f"u{i:03}" for i in range(10))
    assert (state.round, channel.reports[2].round) == (1, 0)


def test_stop():
    _, channel, _ = run({5: Stop()})
    assert len(channel.reports) == 5


def test_a_state_is_sent_when_everything_is_pushed():
    _, channel, server = run({2: StateRequest()}, push_every=3)
    state = channel.sent[channel.sent.index(channel.reports[1]) + 1]
    assert state.position == channel.reports[1].position
    assert channel.reports[1].sums.chunks == 3
    assert server.counts().updates == len(channel.reports)


def test_a_state_survives_a_checkpoint(tmp_path):
    _, channel, _ = run({4: StateRequest()})
    (state,) = [message for message in channel.sent if isinstance(message, WorkerState)]
    tensors, metadata = worker_states_to_save([state])
    write_tensors(tmp_path / "checkpoint.safetensors", tensors, metadata)
    (again,) = load_worker_states(tmp_path / "checkpoint.safetensors")
    assert (again.utterances, again.round, again.position) == (state.utterances, state.round, state.position)
    assert torch.equal(again.random, state.random)
    for layer, other in zip(again.state, state.state, strict=True):
        assert all(map(torch.equal, layer, other))


def test_going_on_from_a_place_is_as_if_nothing_had_happened():
    """The chunks after a state are those that the worker itself went on with, its states and draws as well.

    The weights stay as they are, so that nothing else makes the losses.
    """
    still = replace(TRAINING, initial_lr=1e-30, final_lr=1e-30, reset_probability=0.5)
    _, whole, _ = run({4: StateRequest()}, training=still)
    (state,) = [message for message in whole.sent if isinstance(message, WorkerState)]
    _, rest, _ = run({}, state=state, training=still)
    expected = [(report.position, report.sums.loss) for report in whole.reports]
    assert [(report.position, report.sums.loss) for report in rest.reports][: len(expected) - 4] == expected[4:]


def test_another_number_of_workers_begins_the_parts_anew(capsys):
    reader = synthetic.bits(7, -2)
    two, three = deal_out(reader, 2), deal_out(reader, 3)
    saved = [replace(state, round=4) for state in two]
    assert resume(saved, two) == saved
    assert capsys.readouterr().out == ""
    assert resume(saved, three) == [replace(state, round=5) for state in three]  # in an order of their own
    assert "The checkpoint is of 2 workers: these 3 begin their parts of the data anew" in capsys.readouterr().out
    assert resume(saved, deal_out(synthetic.bits(6, -2), 2))[0].round == 5  # of other utterances
