"""Every check, both ways: the solution passes, each listed mistake is named, a stub is survived."""

import pytest

from seblock import exercises
from seblock.exercises import Exercise

CHECKS = {name: check for name, check in vars(exercises).items() if isinstance(check, Exercise)}
MISTAKES = [(name, told) for name, check in CHECKS.items() for told in check.mistakes]


@pytest.mark.parametrize("name", CHECKS)
def test_the_solution_is_right(name: str) -> None:
    verdict = CHECKS[name].verdict(CHECKS[name].solution)
    assert verdict.kind == "right"


@pytest.mark.parametrize(("name", "told"), MISTAKES)
def test_each_mistake_is_told_by_its_name(name: str, told: str) -> None:
    verdict = CHECKS[name].verdict(CHECKS[name].mistakes[told])
    assert verdict.kind == "mistake"
    assert told in verdict.text


@pytest.mark.parametrize("name", CHECKS)
def test_each_exercise_knows_four_mistakes(name: str) -> None:
    assert len(CHECKS[name].mistakes) >= 4
