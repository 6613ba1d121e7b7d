"""The short forms of `make faults`."""

import pytest
from faults import model, races


def test_a_random_life_is_what_the_reference_says():
    model.run(examples=200, steps=30)


@pytest.mark.parametrize("kind", races.KINDS)
def test_a_crowd_does_no_more_than_it_may(kind):
    assert races.Round(32).violations(kind) == 0


def test_the_crowd_would_catch_a_naive_build():
    assert races.control(64) > 0
