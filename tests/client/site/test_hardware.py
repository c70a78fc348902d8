"""`device` and `memory` of site.yaml: what is taken, what is refused by name, and what is there."""

from typing import Any

import pytest
import torch

from client.devices.choice import pick_device, pick_devices
from client.site.hardware import ON_CPU
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ("auto",)),
        ("auto", ("auto",)),
        ("cuda", ("cuda",)),
        ("cuda:1", ("cuda:1",)),
        (["cuda:0", "cuda:1"], ("cuda:0", "cuda:1")),
        (["cpu", "cpu"], ("cpu", "cpu")),
        (["cpu"], ("cpu",)),
    ],
)
def test_one_device_or_several_are_read_and_written_again(
    hospital: HospitalFolder, given: Any, expected: tuple[str, ...]
) -> None:
    hospital.configure("device", given)
    site = hospital.site
    assert site.device == expected
    hospital.configure("device", site.model_dump(mode="json")["device"])
    assert hospital.site == site


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gpu", "expected auto, cpu, cuda, one GPU as cuda:1"),
        ("cuda:-1", "expected auto"),
        ("cuda:007", "expected auto"),
        ("cuda:٣", "expected auto"),
        ("cuda:1\n", "expected auto"),
        (0, "expected auto"),
        ({"cuda": 0}, "expected auto"),
        ([0, 1], "expected auto"),
        (["cuda", "cuda:1"], "expected auto"),
        (["auto", "cuda:1"], "expected auto"),
        ([], "names 0 devices, expected 1 to 16"),
        (["cpu"] * 17, "names 17 devices"),
        (["cpu", "cuda:0"], "names processor and GPU together"),
        (["cuda:0", "cuda:0"], "names a GPU twice"),
    ],
)
def test_any_other_device_is_refused_in_one_sentence(
    hospital: HospitalFolder, given: Any, said: str
) -> None:
    hospital.configure("device", given)
    with pytest.raises(ConfigError) as caught:
        _ = hospital.site
    assert str(caught.value).startswith(f"{hospital.site_file}: device: {said}")
    assert ";" not in str(caught.value).removesuffix("; name each once").replace(
        "; a step waits for its slowest device", ""
    )


@pytest.mark.parametrize(("given", "expected"), [(1, 1), (128, 128), ("auto", ON_CPU)])
def test_so_many_patients_at_a_time_or_as_many_as_fit(
    hospital: HospitalFolder, given: Any, expected: int
) -> None:
    hospital.configure("memory", {"micro_batch": given})
    assert hospital.site.memory.micro_batch == given
    assert hospital.site.memory.usual_micro_batch == expected


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "many", "128", None, [8]])
def test_any_other_number_of_patients_is_refused(hospital: HospitalFolder, given: Any) -> None:
    hospital.configure("memory", {"micro_batch": given})
    said = "memory.micro_batch: expected a number of patients, at least 1, or auto"
    with pytest.raises(ConfigError) as caught:
        _ = hospital.site
    assert str(caught.value) == f"{hospital.site_file}: {said}"


def test_auto_is_a_gpu_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device(("auto",)).type == expected
    assert pick_devices(("cpu", "cpu")) == (torch.device("cpu"),) * 2


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^device: cuda:77: PyTorch finds \d+ GPUs on this"):
        pick_devices(("cuda:77",))
