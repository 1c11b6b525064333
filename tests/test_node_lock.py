"""Which directory an artifact goes to, when several parts need it."""

from node.distribution import LIBRARY, Part
from node.lock import place

MODULE = Part("modules/one")
OTHER = Part("modules/two")


def test_a_jar_of_the_library_is_not_brought_again_by_a_module() -> None:
    assert place([(LIBRARY, ["a", "b"]), (MODULE, ["b", "c"])]) == {
        "a": ["lib"],
        "b": ["lib"],
        "c": ["modules/one"],
    }


def test_two_modules_each_have_their_own() -> None:
    assert place([(LIBRARY, []), (MODULE, ["c"]), (OTHER, ["c"])]) == {
        "c": ["modules/one", "modules/two"]
    }
