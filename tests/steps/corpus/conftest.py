from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from steps.corpus.validate import find_problems

RATE = 8000


def noise(seconds: float = 0.5, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Samples on the 16-bit grid, so that PCM and flac keep them exactly."""
    samples = np.random.default_rng(seed).integers(-9000, 9000, (round(seconds * RATE), channels))
    return (samples / 32768).astype(np.float32)


def listed(path: Path, **options: bool) -> list[str]:
    """The problems of a data directory, as they are printed."""
    return [str(problem) for problem in find_problems(path, **options)]


@pytest.fixture
def make_data_dir(tmp_path: Path) -> Callable[..., Path]:
    """A sound data dir of two speakers with two utterances each; a keyword replaces or (with None) removes a file."""

    def make(name: str = "data", **files: str | bytes | None) -> Path:
        path = tmp_path / name
        path.mkdir()
        utterances = ["ann-1", "ann-2", "bob-1", "bob-2"]
        for seed, utterance in enumerate(utterances):
            soundfile.write(path / f"{utterance}.wav", noise(seed=seed), RATE)
        tables = {
            "wav.scp": "".join(f"{utt} {path / utt}.wav\n" for utt in utterances),
            "text": "ann-1 one two\nann-2 three\nbob-1 four\nbob-2 five six\n",
            "utt2spk": "ann-1 ann\nann-2 ann\nbob-1 bob\nbob-2 bob\n",
            "spk2utt": "ann ann-1 ann-2\nbob bob-1 bob-2\n",
        }
        for key, content in (
            tables | {key.replace("wav_scp", "wav.scp"): value for key, value in files.items()}
        ).items():
            if content is not None:
                (path / key).write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make
