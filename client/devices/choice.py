"""Which devices `device` of site.yaml names on this machine, and how they compute."""

from collections.abc import Sequence

import torch

from irene_model.errors import ConfigError
from irene_model.inputs import Batch


def pick_device(names: Sequence[str]) -> torch.device:
    """The first of `pick_devices`, where all is computed that is not shared."""
    return pick_devices(names)[0]  # all are looked for


def pick_devices(names: Sequence[str]) -> tuple[torch.device, ...]:
    """The devices of `names`, as site.yaml has them; `auto` is a GPU where there is one.

    Raises ConfigError for a GPU that this machine, or this PyTorch, has not, and for several that
    differ: a patient more in a step moves others from one device to the next, and each must be
    computed there to the same bits (docs/privacy.md, the clip is a bound).
    """
    there = torch.cuda.device_count()
    devices = tuple(
        torch.device(("cuda" if there else "cpu") if name == "auto" else name) for name in names
    )
    for device in devices:
        if device.type == "cuda" and (device.index or 0) >= there:
            raise ConfigError(
                f"device: {device}: PyTorch finds {there} GPUs on this machine; name one of them "
                "(they count from 0), or cpu, in site.yaml, or install a PyTorch for your GPU"
            )
    gpus = [device for device in devices if device.type == "cuda"] if len(devices) > 1 else []
    kinds = {torch.cuda.get_device_name(device) for device in gpus}
    if len(kinds) > 1:
        raise ConfigError(
            f"device: names GPUs of different kinds ({', '.join(sorted(kinds))}); name those of "
            "one kind"
        )
    return devices


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on `device`."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on the GPU, where it is fast; full precision on the CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
