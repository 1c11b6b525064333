"""The node that is measured: one as it is installed, or with what an own cluster may have besides.

`--codec` says how partitions keep their events, as `INDELIBLE_INDEX_CODEC` does; `--plugin` brings
a codec that OpenSearch has not by itself: the zip of a plugin, as `opensearch-plugin install` takes
it, named after it.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import node
from indexer.settings import Codec, IndexSettings
from node.errors import NodeError
from tests.node_home import node_config


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark say which codec and which plugin; both default to what is installed."""
    parser.add_argument("--codec", choices=get_args(Codec), default=IndexSettings().codec)
    parser.add_argument("--plugin", type=Path, help="zip of a plugin that has the codec")


def codec_of(arguments: argparse.Namespace) -> Codec:
    """Return what `--codec` says."""
    return cast("Codec", arguments.codec)


def start_node(home: Path, plugin: Path | None = None, *, quick: bool = False) -> node.Running:
    """Start a node of a home of its own, which the caller stops.

    Args:
        home: empty.
        plugin: zip of a plugin, named after it.
        quick: start as in tests, in half the time; that costs a third of the throughput.

    Raises:
        NodeError: it does not start, or the plugin is no zip.
    """
    config = node_config(home)
    if not quick:
        config = replace(config, java_options=())
    if plugin is not None:
        server = node.assemble(config)
        try:
            shutil.unpack_archive(plugin, server / "plugins" / plugin.stem, "zip")
        except (OSError, shutil.ReadError) as error:
            raise NodeError(f"{plugin}: {error}", hint="name the zip of a plugin") from error
    return node.start(config, report=lambda _: None)
