"""Work on many items is shared out to threads a few at a time, and its results come in order."""

from __future__ import annotations

import pytest

from pipelines.engine import threads


def test_results_come_in_order_and_items_are_taken_a_few_at_a_time():
    taken: list[int] = []

    def items():
        for number in range(10 * threads.AT_ONCE):
            taken.append(number)
            yield number

    doubled = threads.mapped(lambda number: 2 * number, items())
    assert next(doubled) == 0
    assert len(taken) == threads.AT_ONCE
    assert list(doubled) == [2 * number for number in range(1, 10 * threads.AT_ONCE)]


def test_what_one_item_raises_is_raised():
    def refuse(number: int) -> int:
        raise ValueError(number)

    with pytest.raises(ValueError, match="7"):
        next(threads.mapped(refuse, [7]))
