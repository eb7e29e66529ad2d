"""For exercises that ask for a thing with certain properties: which of these it lacks."""

from collections.abc import Iterable


def first_unmet(criteria: Iterable[bool]) -> int:
    """The number of the first criterion that is not met, counted from 1; 0 where all are.

    The criteria may come from a generator: what follows the first that is not met is then not computed.
    Such a number as an exercise's `view` gives every answer that falls short the message of one mistake.
    """
    return next((k for k, met in enumerate(criteria, start=1) if not met), 0)
