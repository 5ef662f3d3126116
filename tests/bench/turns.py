"""Contestants measured in turns, so that whatever else the machine does falls on all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median

Times = dict[str, list[float]]
"""Contestant -> seconds of each round."""


def in_turns(contestants: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> Times:
    """Run each contestant once a round, after rounds that do not count; who begins changes from round to round."""
    names = list(contestants)
    times: Times = {name: [] for name in names}
    for k in range(warm_up + rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            start = time.perf_counter()
            contestants[name]()
            seconds = time.perf_counter() - start
            if k >= warm_up:
                times[name].append(seconds)
    return times


def ratio(times: Times, above: str, below: str) -> float:
    """How many times the seconds of `below` those of `above` are.

    It is the median of the rounds' ratios, not the ratio of the medians: a machine that slows down for some rounds
    slows down both sides of these, while the two medians may come from rounds that differ.
    """
    return median(a / b for a, b in zip(times[above], times[below], strict=True))
