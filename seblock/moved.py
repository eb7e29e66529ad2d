"""The names of version 0.1 that now stand elsewhere: handed on with a warning, until version 0.3."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def hand_on(module: str, new_places: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a module's `__getattr__`: it finds a former name in its new place and says where that is.

    new_places: by the former name the full new one, such as "seblock.photos.load".
    """

    def find_moved(name: str) -> Any:
        if name not in new_places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new_name = new_places[name].rpartition(".")
        warnings.warn(
            f"{module}.{name} is now {new_places[name]}; the old name goes with version 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(place), new_name)

    return find_moved
