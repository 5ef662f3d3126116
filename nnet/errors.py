"""The error that a model file, a config or the training data can cause."""


class ModelError(Exception):
    """A network and what it is given do not fit; the message names both values and what to do."""
