"""Settings that do not fit are told in our words: the name, what was given, and what it must be."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from manifests.errors import MisuseError
from manifests.settings import validated


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("an even number is wanted")
    return value


class Wishes(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(default=3, ge=1, lt=9)
    share: float = Field(default=0.5, gt=0, le=1)
    near: FiniteFloat = 0.0
    kind: Literal["thin", "thick"] = "thin"
    pair: Annotated[int, AfterValidator(_even)] = 2
    loud: bool = False
    name: str = ""
    steps: int = Field(default=4, multiple_of=4)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": "0"}, "thing.size=0: it must be at least 1"),
        ({"size": "9"}, "thing.size=9: it must be below 9"),
        ({"size": "many"}, "thing.size=many: it must be a whole number"),
        ({"size": "1.5"}, "thing.size=1.5: it must be a whole number"),
        ({"size": 1.5}, "thing.size=1.5: it must be a whole number"),
        ({"size": "9" * 5000}, f"thing.size={'9' * 80}: it must be a whole number"),
        ({"share": "0"}, "thing.share=0: it must be above 0"),
        ({"share": "2"}, "thing.share=2: it must be at most 1"),
        ({"share": ""}, "thing.share=: it must be a number"),
        ({"near": "nan"}, "thing.near=nan: it must be a finite number"),
        ({"kind": "wide"}, "thing.kind=wide: it must be 'thin' or 'thick'"),
        ({"pair": "3"}, "thing.pair=3: an even number is wanted"),
        ({"loud": "perhaps"}, "thing.loud=perhaps: it must be true or false"),
        ({"name": 3}, "thing.name=3: it must be text"),
        ({"steps": "3"}, "thing.steps=3: it must be a multiple of 4"),
        ({"\x1b[2J": "3", "size": "0"}, "there is no such setting; there are: size, share, "),
        ({"kind": "\x1b[2J"}, "thing.kind='\\x1b[2J': it must be"),
    ],
)
def test_a_setting_that_does_not_fit(given, told):
    with pytest.raises(MisuseError) as refused:
        validated(Wishes, given, "thing.")
    assert told in str(refused.value)
    assert str(refused.value).isprintable()


def test_all_that_do_not_fit_are_named_together():
    with pytest.raises(MisuseError) as refused:
        validated(Wishes, {"size": 0, "share": 2})
    assert str(refused.value) == "size=0: it must be at least 1; share=2: it must be at most 1"
