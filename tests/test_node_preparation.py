"""What is laid out before a node starts, and when it is not."""

import shutil
from pathlib import Path

import pytest

from node.config import NodeConfig
from node.errors import HomeError
from node.layout import Layout
from node.preparation import prepare


@pytest.mark.parametrize("unmounted", [False, True])
def test_a_node_whose_data_are_gone_does_not_begin_anew_by_itself(
    tmp_path: Path, *, unmounted: bool
) -> None:
    """A disk that is not mounted would be taken for a first start, and all said to be well."""
    config = NodeConfig(home=tmp_path)
    layout = Layout(tmp_path, tmp_path, tmp_path / "cache", config.node_name)
    prepare(config, layout, None)
    prepare(config, layout, None)
    (layout.data / "nodes").mkdir()
    layout.initialised.touch()
    prepare(config, layout, None)
    shutil.rmtree(layout.data)
    if unmounted:
        layout.data.mkdir()
    with pytest.raises(HomeError, match="is empty, and node-1 has kept events there") as caught:
        prepare(config, layout, None)
    assert f"rm {layout.initialised}" in caught.value.hint
    layout.initialised.unlink()
    prepare(config, layout, None)
