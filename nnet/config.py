"""What a model and its training are made of: the keys of conf/nnet/*.yaml (both) and conf/train_nnet.yaml."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

from nnet.augment import Masks
from nnet.errors import ModelError
from nnet.piecewise import piecewise
from nnet.processor import Processor, has_bf16
from nnet.ranges import Count, NotNegative, Number, Positive, Probability, Range, Whole, out_of_range
from nnet.steps import Steps


@dataclass(frozen=True)
class ModelConfig:
    """A stack of layers with a softmax output.

    Parameters
    ----------
    kind : str
        Kind of the layers: ``lstm``, the paper's; ``rnn``, recurrent without gates; ``dnn``, feed-forward on a window
        of frames.
    layers : int
        Number of layers.
    cells : int
        Memory cells of each layer (and direction); of ``rnn`` and ``dnn``, units.
    projection : int
        Size of the recurrent projection of each layer (and direction); 0 for none.
    peepholes : bool
        Whether the gates see the cells.
    clip : float
        Cells are kept in [-clip, clip].
    direction : str
        ``forward``, ``backward`` or ``both``: every layer reads the frames both ways.
    stack : int
        Frames that are read at a step, side by side: the step's own, `ahead` after it and the others before it.
    ahead : int
        Frames after the step's own that are read with it; fewer than `stack`.
    skip : int
        Frames from one step to the next; with 3, the network gives an output every 30 ms.
    phases : str
        Of a network that skips frames on the states of a GMM, which want an output for every frame: ``first`` repeats
        the outputs of the steps at frames 0, skip, 2 skip, ...; ``all`` computes every frame's own, at the phase at
        which it is a step. Training costs the same, in decoding the network costs `skip` times as much.
    delay : int
        Output delay in steps (frames, with `skip` 1): the network has made step u + delay when it labels step u. It has
        to be 0 for networks that see the following steps anyway: ``dnn``, and every direction but ``forward``.
    left_context : int
        Steps before those that are labelled, for ``dnn`` and bidirectional networks. A ``dnn`` reads the window of
        1 + left + right steps at once; a bidirectional network trained on chunks gets them around each chunk.
    right_context : int
        Steps after those that are labelled; see `left_context`.
    precision : str
        Precision of an LSTM's matrix products: ``fp32``, or ``bf16``, which is faster on processors with AMX or
        AVX512-BF16. ``auto``: bf16 on such a processor, fp32 on others and for the other kinds. Weights are float32
        with any of them.
    layer_norm : bool
        Whether each layer's output is normalised over its values (Ba, Kiros and Hinton, 2016), before dropout and the
        next layer. The output that a recurrent layer hands to its next frame is not, so that the compiled recurrence
        serves both.
    dropout : float
        Probability with which a value of a layer's output is dropped in training; `dropout_schedule` of the training
        replaces it.
    init : str
        ``uniform``: every weight from (-init_range, init_range), biases too, as in the paper. ``fan_in``: every matrix
        from (-1/√n, 1/√n) with n its number of columns, peepholes and biases zero.
    init_range : float
        Range of the weights with init ``uniform``.
    forget_bias : float
        Added to the initial bias of the forget gates: a positive value lets a new network remember.
    """

    kind: Literal["lstm", "rnn", "dnn"] = "lstm"
    layers: Count = 2
    cells: Count = 256
    projection: Whole = 0
    peepholes: bool = True
    clip: Annotated[float, Range(above=0, finite=False)] = 50.0
    direction: Literal["forward", "backward", "both"] = "forward"
    stack: Count = 1
    ahead: Whole = 0
    skip: Count = 1
    phases: Literal["first", "all"] = "first"
    delay: Whole = 5
    left_context: Whole = 0
    right_context: Whole = 0
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    layer_norm: bool = False
    dropout: Probability = 0.0
    init: Literal["uniform", "fan_in"] = "fan_in"
    init_range: Positive = 0.02
    forget_bias: Number = 0.0

    @property
    def carries_state(self) -> bool:
        """Whether a chunk starts from the state at the end of the previous one: networks that see frames in order."""
        return self.kind != "dnn" and self.direction == "forward"

    @property
    def steps(self) -> Steps:
        """Which frames it reads at a step, and where its steps are."""
        return Steps(self.stack, self.ahead, self.skip)

    def on(self, processor: Processor) -> "ModelConfig":
        """The config with ``precision: auto`` replaced by the precision for a processor.

        Example
        -------
        >>> ModelConfig(precision="auto").on(Processor("GenuineIntel", frozenset({"amx_bf16"}))).precision
        'bf16'
        """
        if self.precision != "auto":
            return self
        return replace(self, precision="bf16" if self.kind == "lstm" and has_bf16(processor) else "fp32")

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        check_values(self)
        _check_choices(self)
        if self.ahead >= self.stack:
            raise ModelError(
                f"ahead is {self.ahead}, but stack is {self.stack}: of the frames that are read at a step, one is the "
                "step's own, so that fewer than stack can lie ahead"
            )
        if self.kind != "lstm" and (self.projection or self.direction != "forward" or self.precision == "bf16"):
            raise ModelError(f"kind is {self.kind}; only lstm has a projection, other directions and another precision")
        if self.carries_state:
            if self.left_context or self.right_context:
                raise ModelError(
                    f"left_context and right_context are {self.left_context} and {self.right_context}; a network that "
                    "sees the frames in order takes none: they have to be 0 (delay lets it see ahead)"
                )
        elif self.delay:
            name = "a dnn" if self.kind == "dnn" else f"a network of direction {self.direction}"
            raise ModelError(f"delay is {self.delay}; {name} sees the following frames without it: it has to be 0")


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    Parameters
    ----------
    streams : int
        Chunks that are trained on side by side.
    frames : int
        Steps of a chunk (frames, with skip 1), through which the gradient passes (truncated backpropagation through
        time). Networks that do not carry a state are trained on chunks in random order, each with the model's context
        around it; 0: on whole utterances.
    chunks : str
        Which chunk follows in a stream of a network that carries its state: with ``in_order`` the utterance's next one,
        as in the paper, with ``shuffled`` a random one, so that the state tells nothing of the sentence. That keeps a
        network from learning the sentences of a small corpus. A shuffled chunk has as many steps more as the delay, and
        its first outputs, as many, yield no error.
    shuffle : int
        Number of utterances from which chunks are drawn in random order.
    epochs : int
        Passes over the training data.
    loss : str
        ``cross_entropy``, of the frames' pdfs in the alignment.
    optimizer : str
        ``adam`` or ``sgd`` (with momentum).
    momentum : float
        Momentum of ``sgd``.
    beta1 : float
        Decay of the mean of the gradients in ``adam``. Stale gradients of several workers act like a larger value
        (Mitliagkas et al., "Asynchrony begets momentum", 2016).
    initial_lr : float
        The learning rate at the first frame.
    final_lr : float
        The learning rate at the last frame.
    schedule : str
        ``exponential``: from initial_lr to final_lr by the number of outputs trained on. ``newbob``: initial_lr until
        an epoch raises the dev frame accuracy by less than 0.5 % absolute, then half of it after every epoch (final_lr
        at least), until a halved rate raises it by less than 0.1 %.
    max_grad_norm : float
        Gradients with a larger norm are scaled down to it; 0: never.
    weight_decay : float
        Decay of the matrices; biases, peepholes and the weights of layer_norm do not decay. With adam, every update
        multiplies them by 1 - learning rate · weight_decay (AdamW; Loshchilov and Hutter, 2019); with sgd,
        weight_decay · weights is added to the gradient (L2).
    dropout_schedule : str
        The dropout probability, piecewise linear in the fraction of the training that is done, as in Kaldi:
        ``0,0@0.20,0.5@0.50,0`` is 0 up to a fifth, rises to 0.5 at half and falls to 0 at the end. Empty: the model's
        `dropout` all the time.
    average : str
        Which epochs' weights are averaged in the end: the ``best`` by dev frame accuracy, or the ``last``. ``ema``: an
        exponential moving average over all updates (Polyak and Juditsky, 1992), which costs as much as a third of one.
    average_epochs : int
        Number of epochs that are averaged; with 1 and ``best``, the best epoch is taken. Of ``ema``, the time constant:
        an update of so many epochs ago has 1/e of the newest one's weight.
    silence_weight : float
        Weight of silence frames in the loss and in the priors; that of other frames is 1.
    reset_probability : float
        Probability that a stream starts a chunk with a zero state instead of the carried one. It reduces overfitting on
        small corpora.
    masks : Masks
        SpecAugment masks of the training data.
    checkpoint_seconds : float
        A checkpoint is written this often, and after every epoch.
    log_seconds : float
        train.jsonl gets a line this often, and after every epoch.
    """

    streams: Count = 32
    frames: Whole = 20
    chunks: Literal["in_order", "shuffled"] = "in_order"
    shuffle: Count = 128
    epochs: Count = 20
    loss: Literal["cross_entropy"] = "cross_entropy"
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Probability = 0.9
    beta1: Probability = 0.9
    initial_lr: Positive = 0.002
    final_lr: Positive = 0.0001
    schedule: Literal["exponential", "newbob"] = "exponential"
    max_grad_norm: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    dropout_schedule: str = ""
    average: Literal["best", "last", "ema"] = "best"
    average_epochs: Count = 1
    silence_weight: Positive = 1.0
    reset_probability: Probability = 0.0
    masks: Masks = field(default_factory=Masks)
    checkpoint_seconds: NotNegative = 60.0
    log_seconds: NotNegative = 10.0

    def check(self) -> None:
        """Raise a ModelError that names the first value that cannot be."""
        check_values(self)
        _check_choices(self)
        if self.final_lr > self.initial_lr:
            raise ModelError(f"final_lr is {self.final_lr}, above initial_lr, {self.initial_lr}")
        if self.dropout_schedule:
            values = piecewise(self.dropout_schedule).values
            if not all(0 <= value < 1 for value in values):
                raise ModelError(
                    f"dropout_schedule is {self.dropout_schedule}; its values have to be at least 0 and below 1"
                )


def check_values(config: object, group: str = "") -> None:
    """Raise a ModelError that names the first value of a config that is not in the range of its type."""
    if fault := out_of_range(vars(config), type(config), group):
        raise ModelError(fault)


def _check_choices(config: ModelConfig | TrainConfig) -> None:
    for name, hint in get_type_hints(type(config)).items():
        if get_origin(hint) is Literal and getattr(config, name) not in get_args(hint):
            known = ", ".join(get_args(hint))
            raise ModelError(f"{name} is '{getattr(config, name)}'; it has to be one of {known}")


def check_pair(model: ModelConfig, training: TrainConfig) -> None:
    """Raise a ModelError that names the first value that cannot be, or the two that do not go together."""
    model.check()
    training.check()
    if model.carries_state and not training.frames:
        raise ModelError(
            f"frames is 0, whole utterances, but a {model.kind} of direction {model.direction} is trained on chunks "
            "of so many steps: it has to be 1 or more"
        )
    if model.direction != "forward" and training.frames and not model.left_context + model.right_context:
        raise ModelError(
            f"frames is {training.frames}, but a network of direction {model.direction} without left_context and "
            "right_context sees nothing around such a chunk: set one of them, or frames to 0 for whole utterances"
        )
