"""Puts `audit_events` into the wheel; an editable install finds it in the repository instead.

Stated in `pyproject.toml`, the folder would be copied by an editable install too, and the copy
would be imported in place of what is being edited.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface[Any]):
    """Adds the package of the repository's top level."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds `version` (`standard` or `editable`)."""
        if version == "standard":
            package = Path(self.root).parents[1] / "audit_events"
            build_data["force_include"][str(package)] = "audit_events"
