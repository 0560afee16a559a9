import pytest


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("astra-19m", 19_439_616),
        ("astra-38m", 37_829_632),
        ("astra-43m", 43_315_200),
        ("astra-198m", 198_087_680),
    ],
)
def test_trunk_has_the_papers_number_of_parameters(name: str, count: int) -> None:
    from astra.policies.sizes import SIZES, trunk_parameters

    (size,) = [size for size in SIZES if size.name == name]
    assert trunk_parameters(size.make()) == count
