"""What a config names: every name that it may have is there, and others are refused with those that are."""

from typing import get_args, get_type_hints

import pytest

from nnet.config import TrainConfig
from nnet.errors import ModelError
from nnet.losses import LOSSES, loss_named
from nnet.optimizer import OPTIMIZERS, optimizer_named


@pytest.mark.parametrize(("option", "registry"), [("loss", LOSSES), ("optimizer", OPTIMIZERS)])
def test_a_config_may_name_what_is_there(option, registry):
    assert set(get_args(get_type_hints(TrainConfig)[option])) == registry.keys()


def test_unknown_names_are_refused():
    with pytest.raises(ModelError, match=r"loss is 'mmi'; it has to be one of cross_entropy$"):
        loss_named("mmi")
    with pytest.raises(ModelError, match=r"loss is 'mmi'; it has to be one of cross_entropy$"):
        TrainConfig(loss="mmi").check()
    with pytest.raises(ModelError, match=r"optimizer is 'adamw'; it has to be one of adam, sgd$"):
        optimizer_named("adamw")
