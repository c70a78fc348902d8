"""The mask key's files: modes, what is in them, and refusals."""

from pathlib import Path

import pytest

from client.consent.mask_keys import make_mask_key, mask_key_files, read_mask_key
from irene_model.errors import ConfigError
from irene_model.secure.masks import MaskKey


def test_a_new_key_is_for_its_owner_alone_and_is_read_again(tmp_path: Path) -> None:
    made = make_mask_key(*mask_key_files(tmp_path / "keys", tmp_path / "site" / "mask.key"))
    assert made.private == tmp_path / "site" / "mask.key"
    assert made.public == tmp_path / "keys" / "mask.pub"
    assert made.private.stat().st_mode & 0o777 == 0o600
    assert made.private.parent.stat().st_mode & 0o077 == 0
    key = read_mask_key(made.private)
    assert made.public.read_text(encoding="utf-8") == f"{key.public}\n" == f"{made.value}\n"
    assert key.to_bytes().hex() not in made.public.read_text(encoding="utf-8")
    other = make_mask_key(*mask_key_files(tmp_path / "other"))
    assert other.private == tmp_path / "other" / "mask.key" and other.value != made.value


@pytest.mark.parametrize("name", ["mask.key", "mask.pub"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match=f"{name}: is there already"):
        make_mask_key(*mask_key_files(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_no_mask_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.key"
    with pytest.raises(ConfigError, match=r"mask.key: the mask key is missing"):
        read_mask_key(path)
    path.mkdir()
    with pytest.raises(ConfigError, match=r"mask.key: is no file"):
        read_mask_key(path)
    path.rmdir()
    path.write_bytes(MaskKey.new().to_bytes())
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"others can read the key \(mode 640\)"):
        read_mask_key(path)
