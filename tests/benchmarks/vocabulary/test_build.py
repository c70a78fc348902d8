"""The clinical vocabulary: made of its lists in one way only, and its tokens keep their places."""

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.vocabulary import build
from benchmarks.vocabulary.pieces import learn_pieces
from benchmarks.vocabulary.sources import icd_10_cm, own_words, scowl
from irene_model.errors import ConfigError
from irene_model.inputs.text import vocabulary

COUNT = 13_346
SHA256 = "128970b2597707a74db93ec4aea30edd60cd98c2f65d92d3ced73e5098a3ca1c"
TITLES = """<list><desc>Pneumothorax, unspecified</desc><desc>Spontaneous pneumothorax</desc>
<title>Haemothorax of the A00 kind</title></list>"""


@pytest.fixture
def lists(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of three common words, the possessive of one, and three titles of diagnoses."""
    (tmp_path / "english-words.10").write_text("walk\nwalk's\ncafé\nhouse\n", encoding="latin-1")
    (tmp_path / "british-words.20").write_text("houses\nhoused\ncolour\n", encoding="latin-1")
    (tmp_path / "english-words.35").write_text("gables\n", encoding="latin-1")
    (tmp_path / "icd.xml").write_text(TITLES, encoding="utf-8")
    return tmp_path, tmp_path / "icd.xml"


def test_the_commonest_pairs_are_joined_first_as_by_hand() -> None:
    # l-o is seen 3 + 2 times, then lo-w as often; low-e and e-r twice each, and low sorts last.
    assert learn_pieces({"low": 3, "lower": 2, "new": 1}, 3) == ["lo", "low", "lowe"]
    assert learn_pieces({"aaaa": 1}, 9) == ["##aa", "aaa", "aaaa"]
    assert learn_pieces({}, 5) == []


def test_lists_are_read_to_words(lists: tuple[Path, Path]) -> None:
    folder, titles = lists
    assert scowl(folder, (10,)) == {"walk", "caf", "house"}
    assert scowl(folder, (20,)) == {"houses", "housed", "colour"}
    assert icd_10_cm(titles)["pneumothorax"] == 2 and "a00" not in icd_10_cm(titles)
    assert {"spo2", "costophrenic", "h1n1"} <= own_words()
    with pytest.raises(ConfigError, match="holds no list of SCOWL"):
        scowl(titles.parent / "images", (10,))


def test_an_inflected_form_is_left_to_its_stem(
    lists: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_PIECES", 5)
    run = CliRunner().invoke(build.app, [*map(str, lists), "--out", str(tmp_path / "new.txt")])
    assert run.exit_code == 0, run.output
    text = (tmp_path / "new.txt").read_text(encoding="utf-8")
    words = " ".join(line for line in text.splitlines() if not line.startswith("#")).split()
    assert {"house", "colour", "walk", "dyspnoea"} <= set(words) and "houses" not in words
    assert "Permission to use, copy, modify, distribute" in text and len(set(words)) == len(words)


def test_the_shipped_tokens_keep_their_places() -> None:
    """Saved models know tokens by their places: append words, then this count stays right."""
    tokens = vocabulary("clinical")
    first = "\n".join(tokens[:COUNT])
    assert hashlib.sha256(first.encode()).hexdigest() == SHA256
    assert len(set(tokens)) == len(tokens) and tokens[0] == "[PAD]"
    assert {word for word in vocabulary() if word.isalnum()} <= set(tokens)
