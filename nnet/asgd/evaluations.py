"""Evaluation of dev after each epoch, beside the workers."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from nnet.checkpoint import Progress
from nnet.chunks import Reader
from nnet.evaluation import evaluate
from nnet.losses import Loss
from nnet.model import Network
from nnet.sums import Sums


@dataclass(frozen=True)
class Evaluation:
    """An epoch whose weights are evaluated, or wait for that.

    Attributes
    ----------
    progress : Progress
        At the epoch's end.
    params : Tensor, shape (N,)
        The weights then.
    sums : Sums
        Of the epoch.
    dev : Future
        Of the loss and the frame accuracy on dev.
    """

    progress: Progress
    params: Tensor
    sums: Sums
    dev: "Future[tuple[float, float]]"


class EvaluationQueue:
    """Evaluates one epoch after another in a thread.

    Parameters
    ----------
    model : Network
    params : Tensor, shape (N,)
        Of which the model's parameters are views.
    dev_reader : Reader
    loss : Loss
    """

    def __init__(self, model: Network, params: Tensor, dev_reader: Reader, loss: Loss) -> None:
        self.model, self.params, self.dev_reader, self.loss = model, params, dev_reader, loss
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[Evaluation] = []

    def __len__(self) -> int:
        return len(self.waiting)

    def submit(self, progress: Progress, params: Tensor, sums: Sums) -> None:
        """Add an epoch to the queue; see `Evaluation`."""
        self.waiting.append(Evaluation(progress, params, sums, self.thread.submit(self._evaluate, params)))

    def _evaluate(self, params: Tensor) -> tuple[float, float]:
        self.params.copy_(params)
        return evaluate(self.model, self.dev_reader, self.loss)

    def finished(self) -> Iterator[Evaluation]:
        """Give those that are done, in the order of the epochs."""
        while self.waiting and self.waiting[0].dev.done():
            yield self.waiting.pop(0)

    def unfinished_sums(self, since_epoch: Sums) -> Sums:
        """Add the sums of epochs that are not evaluated yet to those since: a run that goes on evaluates them again."""
        return sum((evaluation.sums for evaluation in self.waiting), start=since_epoch)

    def close(self) -> None:
        """Wait for nothing more."""
        self.thread.shutdown(wait=False, cancel_futures=True)
