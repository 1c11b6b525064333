"""Trees are kept within a bound, those that were asked for last."""

from audit_events.chain import encode_hash
from indexer.head import Share, ShareTree
from webapi.kept_trees import KeptTrees


def tree_of(organizations: int) -> ShareTree:
    root = encode_hash(b"r" * 32)
    return ShareTree({f"org_{number}": Share(1, root) for number in range(organizations)})


def test_those_go_that_were_not_asked_for_the_longest() -> None:
    kept = KeptTrees(most_shares=150)
    trees = {name: tree_of(40) for name in "abc"}
    for name, tree in trees.items():
        kept.keep(name, tree)
        kept.keep(name, tree)
    assert {name: kept.find(name) for name in "cba"} == trees
    kept.keep("d", tree_of(40))
    assert [name for name in "abcd" if kept.find(name) is None] == ["c"]


def test_one_that_is_larger_than_all_may_be_is_not_kept() -> None:
    kept = KeptTrees(most_shares=20)
    kept.keep("small", tree_of(0))
    kept.keep("large", tree_of(30))
    assert kept.find("large") is None
    kept.keep("small", tree_of(0))
    assert kept.find("small") is not None
