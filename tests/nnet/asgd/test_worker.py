"""A worker's loop with messages of a coordinator that is not there."""

from dataclasses import replace

import torch

from nnet.asgd.checkpoint import load_places, of_places
from nnet.asgd.config import AsgdConfig
from nnet.asgd.coordinator import partition, resumed
from nnet.asgd.local import LocalServer, create_shards
from nnet.asgd.shard import cut, new_shard
from nnet.asgd.worker import Deposit, EpochEnd, Job, Place, Report, Stop, TakeOver, work
from nnet.config import TrainConfig
from nnet.files import write_tensors
from nnet.model import AcousticModel, initialise
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
    """Gives messages after so many reports, and keeps what the worker tells."""

    def __init__(self, messages):
        self.messages, self.told = dict(messages), []

    @property
    def reports(self):
        return [message for message in self.told if isinstance(message, Report)]

    def send(self, message):
        self.told.append(message)

    def receive(self):
        return self.messages.pop(len(self.reports), None)


def run(messages, push_every=1, place=None, frames_per_epoch=500, training=TRAINING):
    reader = Read(synthetic.bits(10, -2))
    model = AcousticModel(synthetic.RECURRENT, 2, 2)
    initialise(model, 1)
    params, _ = flatten(model)
    shards = [new_shard(params[part].clone(), training, 4 * frames_per_epoch) for part in cut(len(params), 2)]
    server, link = LocalServer(create_shards(shards)), Scripted(messages)
    place = place or Place(tuple(sorted(reader)[:5]))
    asgd = AsgdConfig(push_every=push_every)
    work(Job(0, place, synthetic.RECURRENT, 2, 2, training, asgd, reader, 1, 1, frames_per_epoch), server, link)
    return reader, link, server


def test_the_planned_frames_and_the_end_of_each_epoch():
    reader, link, server = run({})
    assert set(reader.names) == {f"u{i:03}" for i in range(5)}
    assert sum(report.sums.frames for report in link.reports) == server.answer().frames >= 2000
    assert link.reports[-2].pushed.answer.frames < 2000
    ends = [message for message in link.told if isinstance(message, EpochEnd)]
    assert [end.epoch for end in ends] == [1, 2, 3, 4]
    assert torch.equal(ends[-1].params, server.state()[0])


def test_another_workers_utterances_are_taken_over():
    reader, link, _ = run({3: TakeOver(tuple(f"u{i:03}" for i in range(5, 10))), 4: Deposit()})
    assert set(reader.names) == {f"u{i:03}" for i in range(10)}
    (place,) = [message for message in link.told if isinstance(message, Place)]
    assert place.utterances == tuple(f"u{i:03}" for i in range(10))
    assert (place.round, link.reports[2].round) == (1, 0)


def test_stop():
    _, link, _ = run({5: Stop()})
    assert len(link.reports) == 5


def test_a_place_is_told_when_nothing_is_unsent():
    _, link, server = run({2: Deposit()}, push_every=3)
    place = link.told[link.told.index(link.reports[1]) + 1]
    assert place.position == link.reports[1].position
    assert link.reports[1].sums.chunks == 3
    assert server.answer().updates == len(link.reports)


def test_a_place_survives_a_checkpoint(tmp_path):
    _, link, _ = run({4: Deposit()})
    (place,) = [message for message in link.told if isinstance(message, Place)]
    tensors, metadata = of_places([place])
    write_tensors(tmp_path / "checkpoint.safetensors", tensors, metadata)
    (again,) = load_places(tmp_path / "checkpoint.safetensors")
    assert (again.utterances, again.round, again.position) == (place.utterances, place.round, place.position)
    assert torch.equal(again.random, place.random)
    for layer, other in zip(again.state, place.state, strict=True):
        assert all(map(torch.equal, layer, other))


def test_going_on_from_a_place_is_as_if_nothing_had_happened():
    """The chunks after a place are those that the worker itself went on with, its states and draws as well.

    The weights stay as they are, so that nothing else makes the losses.
    """
    still = replace(TRAINING, initial_lr=1e-30, final_lr=1e-30, reset_probability=0.5)
    _, whole, _ = run({4: Deposit()}, training=still)
    (place,) = [message for message in whole.told if isinstance(message, Place)]
    _, rest, _ = run({}, place=place, training=still)
    told = [(report.position, report.sums.loss) for report in whole.reports]
    assert [(report.position, report.sums.loss) for report in rest.reports][: len(told) - 4] == told[4:]


def test_another_number_of_workers_begins_the_parts_anew(capsys):
    reader = synthetic.bits(7, -2)
    two, three = partition(reader, 2), partition(reader, 3)
    saved = [replace(place, round=4) for place in two]
    assert resumed(saved, two) == saved
    assert capsys.readouterr().out == ""
    assert resumed(saved, three) == [replace(place, round=5) for place in three]  # in an order of their own
    assert "The checkpoint is of 2 workers: these 3 begin their parts of the data anew" in capsys.readouterr().out
    assert resumed(saved, partition(synthetic.bits(6, -2), 2))[0].round == 5  # of other utterances
