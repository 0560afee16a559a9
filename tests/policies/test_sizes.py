import pytest


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("astra-19m", 19_439_616),
        ("astra-38m", 37_829_632),
        ("astra-43m", 43_315_200),
        ("astra-198m", 198_087_680),
        ("gato-42m", 42_009_600),
        ("decision-transformer-42m", 42_009_600),
        ("gato-44m", 44_134_400),
        ("gato-198m", 198_087_680),
        ("gato-43m", 43_315_200),
        ("gato-19m", 19_439_616),
        ("decision-transformer-44m", 44_134_400),
        ("vima-42m", 42_379_776),
        ("vima-525m", 525_488_640),
        ("vima-113m", 113_914_368),
        ("vima-51m", 50_777_088),
        ("vima-26m", 25_585_152),
        ("flamingo-42m", 42_379_776),
        ("diffusion-43m", 43_315_200),
    ],
)
def test_trunk_has_the_papers_number_of_parameters(name: str, count: int) -> None:
    from astra.policies.sizes import SIZES, trunk_parameters

    (size,) = [size for size in SIZES if size.name == name]
    assert trunk_parameters(size.make()) == count


@pytest.mark.parametrize(
    "name",
    ["gato-small", "decision-transformer-small", "vima-small", "flamingo-small", "diffusion-small", "rt1-small"],
)
def test_small_trunks_are_as_large_as_astras_within_a_twentieth(name: str) -> None:
    from astra.policies.sizes import SIZES, astra_small, trunk_parameters

    (size,) = [size for size in SIZES if size.name == name]
    astra = trunk_parameters(astra_small())
    assert abs(trunk_parameters(size.make()) - astra) < 0.05 * astra


def test_rt1_is_the_published_one() -> None:
    """Eight layers of 4 x 512 x 1024 + 512 x 512 weights: the 19M that its authors name, and not the paper's 46M."""
    from astra.policies.sizes import SIZES, trunk_parameters

    (size,) = [size for size in SIZES if size.name == "rt1"]
    assert 18_900_000 < trunk_parameters(size.make()) < 19_300_000
