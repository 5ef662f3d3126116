from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnet.asgd.backend import ShardBusyError
from nnet.asgd.local import LocalBackend
from nnet.asgd.local_server import LocalServer, create_shards
from nnet.asgd.memory import close_memory, create_memory, open_memory
from nnet.asgd.overlap import Overlapping
from nnet.asgd.shard import NOBODY, WRITER, join_states, new_shard, parameter_slices, state_of_slice
from nnet.config import TrainConfig
from nnet.optimizer import initial_state, update_of
from nnet.schedule import learning_rate

SUMS = TrainConfig(optimizer="sgd", momentum=0.0, initial_lr=1.0, final_lr=1.0)


@settings(deadline=None)  # the first push compiles the update
@given(st.data())
def test_any_interleaving_of_pushes_gives_the_sum(data):
    size, shards = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 5))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    grads = torch.tensor(random.integers(-100, 100, (data.draw(st.integers(1, 6)), size)), dtype=torch.float32)
    slices = parameter_slices(size, shards)
    held = [new_shard(torch.zeros(part.stop - part.start), SUMS, planned=1) for part in slices]
    pushes = data.draw(st.permutations([(w, k) for w in range(len(grads)) for k in range(len(slices))]))
    for worker, k in pushes:
        assert held[k].push(grads[worker][slices[k]], frames=worker + 1, worker=worker) == NOBODY
    assert torch.equal(torch.cat([shard.params for shard in held]), -grads.sum(0))  # integers: exact in any order
    for shard in held:
        answer = shard.read_counts()
        assert (answer.updates, answer.frames) == (len(grads), sum(range(1, len(grads) + 1)))


@given(st.integers(1, 5000), st.integers(1, 20))
def test_slices_cover_all(size, shards):
    slices = parameter_slices(size, shards)
    assert np.array_equal(np.concatenate([np.arange(size)[part] for part in slices]), np.arange(size))
    assert all(part.start % 16 == 0 for part in slices)
    assert 1 <= len(slices) <= shards


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["exponential", "newbob"])
def test_server_is_the_reference(optimizer, schedule):
    """What pushes make of shards in shared memory is what the plain update makes of all parameters at once."""
    config = TrainConfig(optimizer=optimizer, schedule=schedule, initial_lr=0.1, final_lr=0.01)
    random = torch.Generator().manual_seed(0)
    params = torch.randn(1000, generator=random)
    expected, state = params.clone(), initial_state(config, params)
    address = create_shards([new_shard(params[part].clone(), config, planned=50) for part in parameter_slices(1000, 3)])
    server, other = LocalServer(address), LocalServer(address, worker=1)
    pulled = torch.empty(1000)
    other.pull(pulled)
    for n in range(5):
        if n == 3:
            server.halve(1)
        grad = torch.randn(1000, generator=random)
        update_of(config)(expected, grad, state, learning_rate(config, 10 * n, 50, halvings=int(n >= 3)))
        pushed = server.push(grad, 10, params)
        assert (pushed.counts.updates, pushed.counts.frames, pushed.staleness) == (n + 1, 10 * (n + 1), (0, 0, 0))
        torch.testing.assert_close(params, expected, rtol=1e-6, atol=1e-7)
    assert other.push(torch.zeros(1000), 10, pulled).staleness == (5, 5, 5)
    assert server.push(torch.zeros(1000), 10, params).staleness == (1, 1, 1)
    held, optimizer_state, answer = server.state()
    assert torch.equal(held, params)
    assert answer.frames == 70
    again = join_states([state_of_slice(optimizer_state, part) for part in parameter_slices(1000, 3)])
    assert all(torch.equal(again[name], optimizer_state[name]) for name in optimizer_state)
    for path in address.paths:
        close_memory(path)


def test_an_overlapping_push_is_seen_at_the_next_and_the_last_one_is_waited_for():
    address = create_shards(
        [new_shard(torch.zeros(part.stop - part.start), SUMS, 1) for part in parameter_slices(100, 2)]
    )
    server, params = LocalServer(address), torch.zeros(100)
    with Overlapping(server) as overlapping:
        for n in range(1, 6):
            pushed = overlapping.push(torch.full((100,), float(n)), n, params)
            assert torch.equal(params, torch.full((100,), -float(sum(range(n)))))
            assert (pushed.frames, pushed.counts.updates) == (n - 1, n - 1)
    held, _, answer = server.state()
    assert torch.equal(held, torch.full((100,), -15.0))
    assert (answer.updates, answer.frames) == (5, 15)


def test_a_partial_updates_update_is_noticed():
    address = create_shards([new_shard(torch.zeros(100), SUMS, 1)])
    dead, server, params = LocalServer(address, worker=4), LocalServer(address), torch.empty(100)
    dead.shards[0].counts[WRITER] = 4  # as if it had died between two values
    assert server.push(torch.ones(100), 1, params).partial_updates == (4,)
    assert server.push(torch.ones(100), 1, params).partial_updates == ()


def test_a_locked_shard_is_busy_for_those_who_do_not_wait():
    address = create_shards([new_shard(torch.zeros(100), SUMS, 1)])
    holder, server = LocalServer(address), LocalServer(address, timeout=0.1)
    with holder._locked(0), pytest.raises(ShardBusyError, match=r"shard 0 has been locked for 0.1 s"):
        server.state()
    assert torch.equal(server.state()[0], torch.zeros(100))


@pytest.mark.parametrize(("size", "shards"), [(40, 5), (3, 4), (1000, 3)])
def test_few_parameters(size, shards):
    address = create_shards([new_shard(torch.zeros(p.stop - p.start), SUMS, 1) for p in parameter_slices(size, shards)])
    params = torch.empty(size)
    LocalServer(address).push(torch.arange(size).float(), 1, params)
    assert torch.equal(params, -torch.arange(size).float())


def test_nothing_stays_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        LocalBackend([new_shard(torch.zeros(100), SUMS, 1)]).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_memory_is_shared_and_has_no_name():
    tensors = {"b": torch.arange(5), "a": torch.tensor(2.5), "c": torch.ones(3, 2)}
    path = create_memory(tensors)
    _, one = open_memory(path, tensors)
    _, two = open_memory(path, dict(reversed(tensors.items())))
    assert all(torch.equal(two[name], tensors[name]) for name in tensors)
    one["c"][1, 1] = 7
    assert two["c"][1, 1] == 7
    close_memory(path)
    assert torch.equal(one["b"], torch.arange(5))  # it lives as long as somebody uses it
    with pytest.raises(FileNotFoundError):
        open_memory(path, tensors)
