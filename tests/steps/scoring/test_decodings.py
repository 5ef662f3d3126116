"""Decode directories, as scoring finds them."""

from pathlib import Path

import pytest

from steps.base.errors import InputError
from steps.scoring.decodings import role_of


@pytest.mark.parametrize("role", ["tets", None, 3])
def test_an_unknown_role_is_refused_with_the_file_and_the_roles(role):
    message = f"exp/mono/decode_test/decode.json: its role is '{role}'; there are tune, test, pass"
    with pytest.raises(InputError, match=f"^{message}$"):
        role_of(Path("exp/mono/decode_test"), {"role": role})
