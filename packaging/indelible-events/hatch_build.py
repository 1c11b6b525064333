"""Puts `audit_events` into wheel and sdist; an editable install finds it in the repository instead.

Stated in `pyproject.toml`, the folder would be copied by an editable install too, and the copy
would be imported in place of what is being edited.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface[Any]):
    """Adds the package: of the repository's top level, or beside this file in an sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds `version` (`standard` or `editable`)."""
        if version == "standard":
            here = Path(self.root)
            included = build_data["force_include"]
            # The licence is a link out of this folder, which an sdist must not hold.
            for link in [path for path in included if Path(path).is_symlink()]:
                included[str(Path(link).resolve())] = included.pop(link)
            top = here if (here / "PKG-INFO").is_file() else here.parents[1]
            included[str(top / "audit_events")] = "audit_events"
