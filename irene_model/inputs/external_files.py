"""Files that came with weights from elsewhere: found, read with care, known by their sha256."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from irene_model.errors import CheckpointError, ConfigError


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in `file`; else a CheckpointError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{file}: is missing or can't be read") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{file}: is not valid JSON") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: holds no JSON object")
    return content


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; else a CheckpointError that says how to make one."""
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except OSError:
        raise CheckpointError(
            f"{file}: is missing or can't be read; save the model anew with transformers' "
            "save_pretrained, in one file"
        ) from None
    except SafetensorError:
        raise CheckpointError(f"{file}: is damaged, or no safetensors file") from None
    return tensors


def sha256_of_files(files: Sequence[Path]) -> str:
    """The sha256, in hex, of all files one after the other: `cat FILES | sha256sum` gives it.

    A file that can't be read is a CheckpointError.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError:
            raise CheckpointError(f"{path}: is missing or can't be read") from None
    return digest.hexdigest()


def find_encoder(
    key: str,
    name: str,
    sha256: str | None,
    folders: Mapping[str, Path],
    hashed: Callable[[Path], str],
) -> Path:
    """The folder of the encoder `name` of the study's `key`, with the study's very files in it.

    `folders` by name come first, then the hub's local cache. A missing file, or one whose `hashed`
    is not `sha256`, is a ConfigError.
    """
    folder = folders[name] if name in folders else _in_the_hubs_cache(key, name)
    found = hashed(folder)
    if found != sha256:
        raise ConfigError(
            f"{folder}: {key}.sha256: the files are not the study's; they have {found}"
        )
    return folder


def _in_the_hubs_cache(key: str, name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError):
        raise ConfigError(
            f"{key}: '{name}' is neither in `encoders` of site.yaml (its name: its folder) "
            "nor among the models downloaded from the hub"
        ) from None
