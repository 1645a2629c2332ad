"""Counts agree with their nouns."""

from __future__ import annotations

import pytest

from manifests.counts import plural


@pytest.mark.parametrize(("number", "told"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1234, "1,234 photos")])
def test_one_is_singular_and_the_rest_plural(number, told):
    assert plural(number, "photo") == told
