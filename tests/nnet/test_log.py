import json

from tensorboardX.proto.event_pb2 import Event, SessionLog

from nnet.log import TrainingLog
from tests.nnet import synthetic


def events(folder):
    """Read every event file: records of an 8-byte length, a checksum, the event, a checksum."""
    for file in sorted(folder.iterdir()):
        content, place = file.read_bytes(), 0
        while place < len(content):
            size = int.from_bytes(content[place : place + 8], "little")
            yield Event.FromString(content[place + 12 : place + 12 + size])
            place += 12 + size + 4


def test_tensorboard_shows_the_figures_of_train_jsonl(tmp_path):
    synthetic.run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    found = {(e.step, v.tag): v.simple_value for e in events(tmp_path / "tensorboard") for v in e.summary.value}
    assert len(lines) == 3
    for line in lines:
        for name in ("loss", "accuracy", "dev_loss", "dev_accuracy", "lr", "grad_norm", "clipped", "frames_per_second"):
            assert abs(found[line["frames"], name] - line[name]) <= 1e-6 * abs(line[name])


def test_a_resumed_log_forgets_what_came_after_the_checkpoint(tmp_path):
    log = TrainingLog(tmp_path, size=0, frames=0)
    size = log.write(100, loss=1.0)
    log.write(200, loss=0.5)
    log.close()
    log = TrainingLog(tmp_path, size, frames=100)
    log.write(200, loss=0.7)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert lines == [{"frames": 100, "loss": 1.0}, {"frames": 200, "loss": 0.7}]
    started = [e.step for e in events(tmp_path / "tensorboard") if e.session_log.status == SessionLog.START]
    assert started[-1] == 101  # TensorBoard forgets the steps from there on, of what was written before
