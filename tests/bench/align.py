"""How fast each model aligns: ``python -m tests.bench.align --workdir DIR [--set dev] [--nnet NAME] [--nj N]``.

DIR is a work directory as run.sh makes it. The models of DIR/exp align one set of DIR/data/feats with its transcripts,
as steps.align does but for the writing; sat does so as run.sh lets it: a first pass without transforms, the speakers'
transforms, and the pass with them count together. Loading the model and reading the features are in it as well.

The last line is JSON: for mono, tri, lda_mllt, sat and the network, null where there is no such model, how many times
faster than real time one core is: seconds of audio / (seconds · processes), of the median of three runs.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from steps.acoustic.adapting import adapt_to
from steps.acoustic.aligning import POSTERIOR_SCALE, AlignmentInputs, align_utterances
from steps.ali.word_times import frame_times
from steps.base.errors import InputError
from steps.base.parallel import jobs
from steps.hmm.viterbi import AlignOptions

T = TypeVar("T")
ROUNDS = 3
OPTIONS = AlignOptions()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="holds data/ and exp/")
    parser.add_argument("--set", default="train", help="what is aligned, of data/feats (default: train)")
    parser.add_argument("--nnet", default="lstmp", help="the network's name in exp/ (default: lstmp)")
    parser.add_argument("--nj", type=int, default=1, help="number of processes (default: 1)")
    args = parser.parse_args()
    data, lang, exp = args.workdir / "data/feats" / args.set, args.workdir / "data/lang", args.workdir / "exp"
    models = {name: exp / name for name in ("mono", "tri", "lda_mllt", "sat")} | {"nnet": exp / args.nnet}
    found = {name: model for name, model in models.items() if (model / "model.json").is_file()}
    if not found:
        raise InputError(f"{exp}: there is none of the models {', '.join(model.name for model in models.values())}")
    summary = dict.fromkeys(models, None) | {name: measure(data, lang, model, args.nj) for name, model in found.items()}
    print(json.dumps(summary))


def measure(data: Path, lang: Path, model: Path, nj: int) -> float:
    """Align a set with a model, print how that went, and give the times real time of a core."""
    inputs = AlignmentInputs(data=data, lang=lang, model_dir=model)
    shift = frame_times(inputs.description.features).shift
    audio = shift * sum(len(matrix) for matrix in inputs.features.values())
    rounds = [one_round(data, lang, model, nj) for _ in range(ROUNDS)]
    adapting, aligning, failed = (median(column) for column in zip(*rounds, strict=True))
    speed = audio / median(first + second for first, second, _ in rounds) / nj
    adapted = f"{adapting:.1f} s to adapt, " if adapting else ""
    print(
        f"{model.name:9}{audio / 60:6.1f} min of audio: {adapted}{aligning:.1f} s to align, {speed:.0f} x real time "
        f"per core, {failed:.0f} of {len(inputs.features)} utterances failed",
        flush=True,
    )
    return round(speed, 1)


def one_round(data: Path, lang: Path, model: Path, nj: int) -> tuple[float, float, int]:
    """Seconds to adapt, seconds to align, utterances failed."""
    with tempfile.TemporaryDirectory() as folder:
        unadapted = AlignmentInputs(data=data, lang=lang, model_dir=model)
        adapting, adapted = clock(lambda: adapt_to(unadapted, Path(folder), OPTIONS, nj=nj))
        inputs = replace(unadapted, speakers=adapted.speakers if adapted else None)
        with jobs(nj, inputs) as run:
            aligning, (_, failed) = clock(lambda: align_utterances(inputs, OPTIONS, POSTERIOR_SCALE, run))
    return adapting if adapted else 0.0, aligning, len(failed)


def clock(function: Callable[[], T]) -> tuple[float, T]:
    """Call a function and take the time."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
