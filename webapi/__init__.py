"""The API over the stored events: who did what, when, on what, for those who may ask.

`webapi.create_app` is the factory, as Flask's readers expect it; it is imported when it is asked
for, so that reading `webapi.settings` does not cost the command line an import of Flask.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webapi.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> object:
    """Import what is offered here when it is first asked for (PEP 562)."""
    if name in __all__:
        return getattr(importlib.import_module("webapi.app"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
