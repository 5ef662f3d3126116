"""Choose on dev how the scores are weighted."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnet.ranges import Count, Number, Positive
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.options import Options
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import jobs
from steps.feats.reader import reference_text
from steps.scoring.tuning import best
from steps.scoring.wer import score
from steps.search.beam import SearchOptions, Weights
from steps.search.decoding import Source, check_source, decode_all
from steps.search.directory import decode_into


@dataclass(frozen=True)
class Grid(Options):
    """What is tried.

    Parameters
    ----------
    acoustic_scales : list of float
        Each at no insertion penalty, and in the end again at the best penalty and deweighting.
    insertion_penalties : list of float
        Each at the best scale, with each silence deweighting.
    silence_deweights : list of float
        For networks.
    """

    acoustic_scales: list[Positive] = field(default_factory=lambda: [0.05, 0.0625, 0.08, 0.1, 0.125, 0.16, 0.2, 0.25])
    insertion_penalties: list[Number] = field(
        default_factory=lambda: [-4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
    )
    silence_deweights: list[Positive] = field(default_factory=lambda: [1.0, 2.7])


def tune(
    data: Path,
    graph: Path,
    model: Path,
    out: Path,
    grid: Grid = Grid(),
    search: SearchOptions = SearchOptions(),
    speakers: Path | None = None,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Choose acoustic scale, insertion penalty and silence deweighting by the errors on dev.

    Decodes DATA over a grid and writes OUT/tune.json: all points with their errors, and the best. OUT also holds the
    best point's hypotheses with their alignments, as a directory of steps.decode does; steps.decode --tuned OUT applies
    the choice to another set.

    Parameters
    ----------
    data : Path
        The dev set, with text: a data directory or its features.
    graph : Path
        Graph directory.
    model : Path
        Model directory.
    out : Path
        Directory to write.
    grid : Grid
        What is tried.
    search : SearchOptions
        How wide to search.
    speakers : Path
        Speakers' transforms, from steps.adapt, for a model that was trained with such ones.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    source = Source(data, graph, model, allow_commands, speakers)
    is_network = check_source(source).is_network
    reference = reference_text(data)
    deweights = grid.silence_deweights if is_network else [1.0]
    key = fingerprint(data, graph, model / "model.json", *([speakers] if speakers else []), vars(grid), vars(search))
    points: dict[Weights, dict[str, float]] = {}
    with output_dir(out, key, mark="decode.json") as folder, jobs(nj) as run:

        def attempt(part: str, weights: list[Weights]) -> Weights:
            (folder / part).mkdir(exist_ok=True)
            new = [w for w in weights if w not in points]
            desc = f"tuning {model.name} on {data.name}: {part}"
            results = decode_all(source, new, search, folder / part, run, desc) if new else []
            for w, decoded in zip(new, results, strict=True):
                if missing := sorted(set(decoded.text) - set(reference)):
                    raise InputError(f"{data}: utterance {missing[0]} has no text to count errors against")
                total = score(reference, decoded.text).total
                points[w] = {**vars(w), "errors": total.errors, "wer": total.wer}
            chosen = best(list(points.values()))
            return Weights(**{name: chosen[name] for name in Weights.__dataclass_fields__})

        scale = attempt("scales", [Weights(scale) for scale in grid.acoustic_scales]).acoustic_scale
        chosen = attempt("penalties", [Weights(scale, p, d) for p in grid.insertion_penalties for d in deweights])
        chosen = attempt("scales again", [replace(chosen, acoustic_scale=scale) for scale in grid.acoustic_scales])
        (folder / "tune.json").write_text(
            json.dumps({"best": points[chosen], "grid": [points[w] for w in sorted(points)]}, indent=1)
        )
        decode_into(folder, out, source, chosen, search, run, f"tuning {model.name} on {data.name}: the best point")
        for part in ("scales", "penalties", "scales again"):
            for file in (folder / part).iterdir():
                file.unlink()
            (folder / part).rmdir()
    print(
        f"{out}: WER {points[chosen]['wer']:.2f} % on {data.name} at acoustic scale {chosen.acoustic_scale:g}, "
        f"insertion penalty {chosen.insertion_penalty:g}, silence deweighting {chosen.silence_deweight:g}"
    )


if __name__ == "__main__":
    command(tune)
