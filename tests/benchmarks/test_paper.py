"""The paper's numbers: each has its source, and those we can count agree with ours."""

from __future__ import annotations

import pytest

from benchmarks import recipes
from benchmarks.paper import beside, published
from models import counts


def test_every_number_has_a_source_and_a_unit_and_stands_there_once():
    rows = published()
    assert all(one.where and one.unit and one.value > 0 for one in rows)
    keys = [(one.model, one.dataset, one.resolution, one.quantity, one.where) for one in rows]
    assert len(set(keys)) == len(keys)
    assert all(one.hardware for one in rows if one.quantity in ("ms_per_image", "training_days"))


@pytest.mark.parametrize("model", recipes.MODELS)
def test_its_parameters_are_those_we_count_to_a_tenth_of_a_million_and_some(model):
    (told,) = [one for one in beside(model, "lhq", 256) if one.quantity == "parameters"]
    assert counts.counts(256)[model]["total"] / 1e6 == pytest.approx(told.value, abs=0.11)


def test_numbers_of_another_size_do_not_stand_beside():
    assert not [one for one in beside("alis", "lhq1024", 256) if one.quantity == "fid"]
    assert [one.value for one in beside("alis", "lhq1024", 1024) if one.quantity == "infinity_fid"] == [10.53]
