"""How fast functions grow."""

from haar.execution.scaling import BURST, FUNCTIONS, Scaling


def test_a_function_grows_by_a_thousand_in_ten_seconds() -> None:
    scaling = Scaling()
    assert sum(scaling.another("a", 0.0) for _ in range(BURST + 50)) == BURST
    assert scaling.another("b", 0.0)
    assert sum(scaling.another("a", 0.125) for _ in range(50)) == 12
    assert sum(scaling.another("a", 20.0) for _ in range(2 * BURST)) == BURST
    assert sum(scaling.another("a", 1000.0) for _ in range(2 * BURST)) == BURST


def test_what_is_remembered_is_bounded() -> None:
    scaling = Scaling()
    for number in range(FUNCTIONS + 5):
        scaling.another(str(number), 0.0)
    assert len(scaling._left) == FUNCTIONS
