"""Every path through a small lexicon's HMMs, one after the other: slow, and simple enough to be right.

It shares no code with what it tests. States are walked in their natural order, a stay of n frames in a state costing
n - 1 loops and one way out, where the graphs under test have the way out first.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

State = tuple[str, int]  # phone and HMM state
Words = tuple[str, ...]


@dataclass
class Path:
    """A complete path: its cost, words and the HMM state of each frame."""

    cost: float
    words: Words
    states: list[State]


@dataclass
class World:
    """What speech is made of.

    `arcs` holds for each phone and state the probabilities of what follows (one past the last state: the end);
    `lm` gives the cost of a word, or of the end (None), after all words so far.
    """

    arcs: Mapping[str, Sequence[Mapping[int, float]]]
    lexicon: Sequence[tuple[str, float, Sequence[str]]]
    sil_prob: float
    lm: Callable[[Words, str | None], float]
    scales: tuple[float, float] = (1.0, 0.1)  # of transitions and of self-loops

    def paths(self, costs: Mapping[State, np.ndarray]) -> Iterator[Path]:
        """All paths of as many frames as `costs` has for each state."""
        frames = len(next(iter(costs.values())))
        yield from self._between_words(Path(0.0, (), []), frames, costs)

    def _between_words(self, path: Path, frames: int, costs: Mapping[State, np.ndarray]) -> Iterator[Path]:
        silent = [Path(path.cost - math.log(1 - self.sil_prob), path.words, path.states)]
        if self.sil_prob:
            entered = Path(path.cost - math.log(self.sil_prob), path.words, path.states)
            silent += self._phones(entered, ["SIL"], frames, costs)
        for before in silent:
            if len(before.states) == frames and math.isfinite(end := self.lm(before.words, None)):
                yield Path(before.cost + end, before.words, before.states)
            for word, prob, phones in self.lexicon:
                if math.isfinite(cost := self.lm(before.words, word)):
                    spoken = Path(before.cost + cost - math.log(prob), (*before.words, word), before.states)
                    for after in self._phones(spoken, phones, frames, costs):
                        yield from self._between_words(after, frames, costs)

    def _phones(
        self, path: Path, phones: Sequence[str], frames: int, costs: Mapping[State, np.ndarray]
    ) -> Iterator[Path]:
        if not phones:
            yield path
            return
        for after in self._states(path, (phones[0], 0), frames, costs):
            yield from self._phones(after, phones[1:], frames, costs)

    def _states(self, path: Path, state: State, frames: int, costs: Mapping[State, np.ndarray]) -> Iterator[Path]:
        phone, number = state
        transition_scale, loop_scale = self.scales
        arcs = self.arcs[phone][number]
        stay = arcs.get(number, 0.0)
        cost, states = path.cost, path.states
        while len(states) < frames:
            cost, states = cost + costs[state][len(states)], [*states, state]
            for dest, prob in arcs.items():
                if dest == number:
                    continue
                way_out = -loop_scale * math.log(1 - stay) - transition_scale * math.log(prob / (1 - stay))
                after = Path(cost + way_out, path.words, states)
                if dest == len(self.arcs[phone]):
                    yield after
                else:
                    yield from self._states(after, (phone, dest), frames, costs)
            if not stay:
                return
            cost -= loop_scale * math.log(stay)


def in_context(
    path: Path,
    costs: Mapping[tuple[str, str, str, int], np.ndarray],
    arcs: Mapping[str, Sequence[Mapping[int, float]]],
) -> Path:
    """Add to a path what its frames cost, each by its phone's left neighbour, phone, right neighbour and state.

    Outside the utterance is the phone "". Phones need more than one state and no way back to the first, for there a
    phone is seen to begin; in every frame where the first state has no loop.
    """
    starts = [
        t
        for t, state in enumerate(path.states)
        if state[1] == 0 and (t == 0 or path.states[t - 1] != state or 0 not in arcs[state[0]][0])
    ]
    phones = ["", *(path.states[t][0] for t in starts), ""]
    cost, number = path.cost, 0
    for t, (_, state) in enumerate(path.states):
        number += t in starts
        left, phone, right = phones[number - 1 : number + 2]
        cost += costs[left, phone, right, state][t]
    return Path(cost, path.words, path.states)


def left_to_right(stays: Sequence[float]) -> list[dict[int, float]]:
    """States in a row, with their probabilities of staying."""
    return [{i: stay, i + 1: 1 - stay} for i, stay in enumerate(stays)]


def ergodic(random: np.random.Generator) -> list[dict[int, float]]:
    """Kaldi's silence of five states, with random probabilities."""
    destinations = [range(4), *[range(1, 5)] * 3, (4, 5)]
    return [dict(zip(to, random.dirichlet([2.0] * len(to)).tolist(), strict=True)) for to in destinations]


def backoff_lm(arpa: str) -> Callable[[Words, str | None], float]:
    """Costs of a bigram model as its graph has them: the cheaper one of the bigram and the way over the back-off."""
    entries = {}
    for line in arpa.splitlines():
        fields = line.split()
        try:
            prob = float(fields[0])
        except (ValueError, IndexError):
            continue
        order = 2 if fields[2:] and not _is_number(fields[2]) else 1
        backoff = float(fields[order + 1]) if len(fields) > order + 1 else 0.0
        entries[tuple(fields[1 : order + 1])] = (-prob * math.log(10), -backoff * math.log(10))
    nothing = (math.inf, 0.0)

    def cost(words: Words, word: str | None) -> float:
        history, word = (words or ("<s>",))[-1], word or "</s>"
        backed_off = entries.get((history,), nothing)[1] + entries.get((word,), nothing)[0]
        return min(entries.get((history, word), nothing)[0], backed_off)

    return cost


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def transcript_lm(text: Sequence[str]) -> Callable[[Words, str | None], float]:
    """A model that knows one sentence."""
    return lambda words, word: 0.0 if (*text, None)[len(words)] == word else math.inf
