"""Choose the decoding scales on dev."""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnet.ranges import Count, Number, Positive, Whole
from steps.acoustic.model import ModelDescription
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.options import Options
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import SharedJobs, jobs
from steps.feats.reader import reference_text
from steps.scoring.tuning import best, beyond
from steps.scoring.wer import score
from steps.search.beam import DecodingScales, SearchOptions
from steps.search.decoding import Decoded, Task, decode_all
from steps.search.directory import decode_into
from steps.search.inputs import DecodingInputs

Points = dict[DecodingScales, dict[str, float]]
"""What was tried, with the errors."""


@dataclass(frozen=True)
class Grid(Options):
    """What is tried.

    Parameters
    ----------
    acoustic_scales : list of float
        Each at no insertion penalty, and in the end again at the best penalty and deweighting.
    low_rate_scales : mapping of str to list of float
        The acoustic scales for networks on states of a low frame rate (steps.build_tree), by the loss of their
        training: there are fewer scores a second, so that each counts more.
    insertion_penalties : list of float
        Each at the best scale, with each silence deweighting.
    silence_deweights : list of float
        For networks.
    widenings : int
        While the best scale or penalty is the lowest or the highest that was tried, the next one behind it is tried
        too, at most so often in each of the three parts.
    """

    acoustic_scales: list[Positive] = field(default_factory=lambda: [0.05, 0.0625, 0.08, 0.1, 0.125, 0.16, 0.2, 0.25])
    low_rate_scales: dict[str, list[Positive]] = field(
        default_factory=lambda: {"cross_entropy": [0.1, 0.135, 0.18, 0.25, 0.33, 0.45, 0.6, 0.8]}
    )
    insertion_penalties: list[Number] = field(
        default_factory=lambda: [-4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
    )
    silence_deweights: list[Positive] = field(default_factory=lambda: [1.0, 2.7])
    widenings: Whole = 4

    def scales_for(self, model: ModelDescription) -> list[float]:
        """The acoustic scales for a model, by the rate of its states and its loss.

        Raises
        ------
        InputError
            When there are none.
        """
        if model.transitions.rate.skip == 1:
            return self.acoustic_scales
        if model.loss not in self.low_rate_scales:
            raise InputError(f"grid.low_rate_scales has no scales for networks trained with {model.loss}; add them")
        return self.low_rate_scales[model.loss]


def tune(
    data: Path,
    graph: Path,
    model: Path,
    out: Path,
    grid: Grid = Grid(),
    search: SearchOptions = SearchOptions(),
    speakers: Path | None = None,
    also: list[Path] | None = None,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Choose acoustic scale, insertion penalty and silence deweighting by the errors on dev.

    Decodes DATA over a grid and writes OUT/tune.json: all points with their errors, and the best. Where the best scale
    or penalty is at the edge of the grid, values behind it are tried too. OUT also holds the best point's hypotheses
    with their alignments, as a directory of steps.decode does; steps.decode --tuned OUT applies the choice to another
    set.

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
    also : list of Path
        Further networks on the same states and features, whose outputs are averaged with those of MODEL.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    inputs = DecodingInputs(
        data=data,
        graph_dir=graph,
        model_dir=model,
        allow_commands=allow_commands,
        speakers=speakers,
        also=tuple(also or ()),
    )
    inputs.check()
    reference = reference_text(data)
    key = fingerprint(data, graph, *inputs.model_files, *([speakers] if speakers else []), vars(grid), vars(search))
    with output_dir(out, key, mark="decode.json") as folder, jobs(nj, inputs) as run:
        scores = folder / "scores"  # of as many utterances as may be kept, computed once for the whole grid
        scores.mkdir(exist_ok=True)
        points = search_grid(Trials(inputs, reference, search, folder, scores, run), grid)
        chosen = best_of(points)
        listed = {"best": points[chosen], "grid": [points[scales] for scales in sorted(points)]}
        (folder / "tune.json").write_text(json.dumps(listed, indent=1))
        task = Task([chosen], search, folder, scores, alignments=True)
        decode_into(out, inputs, task, "tune", run, f"tuning {inputs.name} on {data.name}: the best point")
        for part in filter(Path.is_dir, [*folder.iterdir()]):
            shutil.rmtree(part)
    print(
        f"{out}: WER {points[chosen]['wer']:.2f} % on {data.name} at acoustic scale {chosen.acoustic_scale:g}, "
        f"insertion penalty {chosen.insertion_penalty:g}, silence deweighting {chosen.silence_deweight:g}"
    )


@dataclass(frozen=True)
class Trials:
    """How a point of the grid is tried.

    Attributes
    ----------
    inputs : DecodingInputs
    reference : dict
        Utterance -> transcript.
    search : SearchOptions
    folder : Path
        Where the results of killed runs are.
    scores : Path
        Where the model's scores are kept.
    run : SharedJobs
    """

    inputs: DecodingInputs
    reference: dict[str, str]
    search: SearchOptions
    folder: Path
    scores: Path
    run: SharedJobs[DecodingInputs]


def search_grid(trials: Trials, grid: Grid) -> Points:
    """Try the scales at no penalty, then penalties and deweightings at the best scale, then the scales again."""
    model = trials.inputs.description
    deweights = grid.silence_deweights if model.is_network else [1.0]
    scales, limit = grid.scales_for(model), grid.widenings
    points = widened({}, trials, Axis("scales", "acoustic_scale", scales, [DecodingScales()]), limit)
    at_best = [DecodingScales(best_of(points).acoustic_scale, 0.0, deweight) for deweight in deweights]
    points = widened(points, trials, Axis("penalties", "insertion_penalty", grid.insertion_penalties, at_best), limit)
    chosen = best_of(points)
    scales = sorted({*scales, *(point.acoustic_scale for point in points)})
    return widened(points, trials, Axis("scales again", "acoustic_scale", scales, [chosen]), limit)


@dataclass(frozen=True)
class Axis:
    """A part of the search over the grid.

    Attributes
    ----------
    part : str
        Its name.
    scale : str
        Which of the scales is changed.
    values : list of float
        What is tried.
    at : list of DecodingScales
        The other scales, with each of which every value is tried.
    """

    part: str
    scale: str
    values: list[float]
    at: list[DecodingScales]

    def settings(self, values: Iterable[float]) -> list[DecodingScales]:
        """The scales for some values."""
        return [replace(others, **{self.scale: value}) for value in values for others in self.at]


def widened(points: Points, trials: Trials, axis: Axis, limit: int) -> Points:
    """Try the values of an axis, and more behind its edge while the best point is there, at most `limit` times."""
    points, values = with_points(points, trials, axis.part, axis.settings(axis.values)), [*axis.values]
    for number in range(1, limit + 1):
        chosen: float = getattr(best_of(points), axis.scale)
        more = beyond(values, chosen, geometric=axis.scale == "acoustic_scale") if values else None
        if more is None:
            break
        points = with_points(points, trials, f"{axis.part}, wider {number}", axis.settings([more]))
        values.append(more)
    return points


def with_points(points: Points, trials: Trials, part: str, scales: Sequence[DecodingScales]) -> Points:
    """Decode dev with the scales that have not been tried yet and count the errors.

    Parameters
    ----------
    points : dict
        Those tried before.
    trials : Trials
    part : str
        A name of this part of the grid.
    scales : sequence of DecodingScales

    Returns
    -------
    dict
        The points of before and the new ones.

    Raises
    ------
    InputError
        When an utterance has no transcript.
    """
    (trials.folder / part).mkdir(exist_ok=True)
    new = [point for point in scales if point not in points]
    if not new:
        return points
    task = Task(new, trials.search, trials.folder / part, trials.scores)
    desc = f"tuning {trials.inputs.name} on {trials.inputs.data.name}: {part}"
    results = decode_all(trials.inputs, task, trials.run, desc)
    return points | {point: errors_of(trials, point, found) for point, found in zip(new, results, strict=True)}


def errors_of(trials: Trials, scales: DecodingScales, decoded: Decoded) -> dict[str, float]:
    """Describe a point of the grid: its scales, the number of errors and the word error rate."""
    if missing := sorted(set(decoded.text) - set(trials.reference)):
        raise InputError(f"{trials.inputs.data}: utterance {missing[0]} has no text to count errors against")
    total = score(trials.reference, decoded.text).total
    return {**vars(scales), "errors": total.errors, "wer": total.wer}


def best_of(points: Points) -> DecodingScales:
    """Choose a point; see `steps.scoring.tuning.best`."""
    chosen = best(list(points.values()))
    return DecodingScales(**{name: chosen[name] for name in DecodingScales.__dataclass_fields__})


if __name__ == "__main__":
    command(tune)
