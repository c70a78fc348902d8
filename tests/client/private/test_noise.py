"""The noise: its distribution, the cipher behind it, and the lattice that it lands on."""

import math

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from scipy.stats import kstest

from client.answers import _participant
from client.private.noise import KeystreamNoise, add_lattice_noise, lattice_step
from client.private.randomness import Randomness
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder

KEY = bytes(range(32))
LARGE = 600_000  # numbers: more than two chunks


def normals(size: int = LARGE, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return KeystreamNoise.reproducible("test", seed).standard_normal((size,))  # type: ignore[return-value]


def by_hand(count: int) -> list[float]:
    """Encrypted counters, one block for two uniforms; Box and Muller's formula, one by one."""
    blocks = Cipher(AES256(KEY), ECB()).encryptor()
    words = []
    for counter in range(count // 2):
        block = blocks.update(counter.to_bytes(16, "big"))
        words += [int.from_bytes(block[i : i + 8], "little") % 2**53 for i in (0, 8)]
    half = count // 2
    pairs = [
        (math.sqrt(-2 * math.log((u + 1) / 2**53)), 2 * math.pi * v / 2**53)
        for u, v in zip(words[:half], words[half:], strict=True)
    ]
    return [r * math.cos(t) for r, t in pairs] + [r * math.sin(t) for r, t in pairs]


def test_the_numbers_are_box_and_mullers_of_the_cipher_in_counter_mode() -> None:
    np.testing.assert_allclose(KeystreamNoise(KEY).standard_normal((10,)), by_hand(10), rtol=1e-12)


def test_the_keystream_goes_on_and_shapes_only_arrange_it() -> None:
    noise = KeystreamNoise(KEY)
    assert noise.standard_normal((2, 3, 1)).shape == (2, 3, 1)
    assert noise.standard_normal((7,)).shape == (7,)  # an odd one: its pair's other is let go
    assert noise.standard_normal(()).shape == () and noise.standard_normal((0,)).shape == (0,)
    twice = KeystreamNoise(KEY)
    one, two = twice.standard_normal((6,)), twice.standard_normal((6,))
    assert not set(one) & set(two)


def test_the_numbers_are_normal() -> None:
    drawn = normals()
    assert kstest(drawn, "norm").pvalue > 0.01
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
        spread = np.std(drawn**power) / math.sqrt(LARGE)
        assert abs(np.mean(drawn**power) - moment) < 4 * spread, power
    assert kstest(drawn[:100_000] * 1.02, "norm").pvalue < 0.01  # a spread 2 % too wide is seen


def test_the_numbers_are_independent() -> None:
    drawn = normals()
    bound = 4 / math.sqrt(LARGE - 2**17)
    for lag in (1, 2, 2**17, 2**18):  # a pair's two lie half a chunk apart
        for one, other in ((drawn[:-lag], drawn[lag:]), (drawn[:-lag] ** 2, drawn[lag:] ** 2)):
            assert abs(np.corrcoef(one, other)[0, 1]) < 2 * bound, lag
    assert len(set(drawn)) == LARGE


def test_a_key_gives_its_numbers_and_no_other() -> None:
    np.testing.assert_array_equal(normals(9), normals(9))
    assert not set(normals(9)) & set(normals(9, seed=1))
    real = [KeystreamNoise.of_the_operating_system().standard_normal((9,)) for _ in range(2)]
    assert not set(real[0]) & set(real[1])


@pytest.mark.parametrize("deviation", [1e-6, 0.37, 1.0, 5.7, 4096.0])
def test_noised_sums_lie_on_a_lattice_that_depends_on_the_deviation_alone(deviation: float) -> None:
    step = lattice_step(deviation)
    assert math.frexp(step)[0] == 0.5  # a power of two
    assert deviation / 2048 < step <= deviation / 1024
    rng = np.random.default_rng(0)
    total = torch.from_numpy(deviation * rng.uniform(-100, 100, (700, 800))).float()
    noised = total.clone()
    add_lattice_noise(noised, deviation=deviation, source=KeystreamNoise(KEY))
    grains = noised.double() / step
    assert torch.equal(grains, grains.round())  # float32 holds them exactly
    off = (total.double() / step) % 1
    assert float(((off > 0.1) & (off < 0.9)).double().mean()) > 0.7  # the sums themselves do not
    noise = (noised.double() - total.double()).flatten().numpy() / deviation
    assert kstest(noise[:100_000], "norm").pvalue > 0.01
    assert noise.std() == pytest.approx(1.0, rel=4 / math.sqrt(2 * noise.size))
    assert abs(noise.mean()) < 4 / math.sqrt(noise.size)


def test_neighbouring_sums_reach_the_same_values() -> None:
    """Mironov 2012: plain floats reach values from one sum that they never reach from the other."""
    reached = []
    for value in (0.0, 0.7137):
        total = torch.full((400_000,), value)
        add_lattice_noise(total, deviation=1.0, source=KeystreamNoise.reproducible(value))
        reached.append(total)
    low = torch.tensor([0.2, 0.4])  # values that are likely under both
    values = [set(t[(t > low[0]) & (t < low[1])].tolist()) for t in reached]
    assert len(values[0]) > 200 and values[0] == values[1]
    plain = [set((value + normals(100_000, n)).tolist()) for n, value in enumerate((0.0, 0.7137))]
    assert not plain[0] & plain[1]


def test_no_deviation_means_no_noise_and_no_lattice() -> None:
    total = torch.tensor([0.1, 0.2, 1e-9])
    add_lattice_noise(total, deviation=0.0, source=KeystreamNoise(KEY))
    assert torch.equal(total, torch.tensor([0.1, 0.2, 1e-9]))


def test_streams_of_a_simulation_differ_by_seed_site_round_and_purpose() -> None:
    kinds = [
        Randomness.reproducible(seed=seed, site=site, round=round).noise
        for seed, site, round in ((0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a1", 1))
    ]
    assert len({float(noise.standard_normal((1,))[0]) for noise in kinds}) == len(kinds)


def test_a_real_node_refuses_a_seed(hospital: HospitalFolder) -> None:
    """The simulation's switch can't be reached from a hospital's command line."""

    def started(**config: str | int) -> object:
        return _participant(config)

    site = str(hospital.site_file)
    participant = started(site=site)
    assert getattr(participant, "simulation_seed") is None  # noqa: B009
    for key in ("seed", "simulation_seed", "partition-id"):
        with pytest.raises(ConfigError, match=f"--node-config: {key}: unknown key"):
            started(site=site, **{key: 5})
    hospital.configure("simulation_seed", 5)
    with pytest.raises(ConfigError, match="simulation_seed: unknown key"):
        started(site=site)
