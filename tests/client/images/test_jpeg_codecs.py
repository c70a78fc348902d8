"""Compressed radiographs come to the square of the uncompressed ones; broken ones to one cause."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from client.images.files import load_image
from client.images.jpeg_codecs import frame_of
from irene_model.errors import DataError
from irene_model.inputs.pixels import Pixels
from tests.helpers.phantom import CHEST, U8, U12, Array, write_dicom
from tests.helpers.sites.jpeg_dicom import stream_of, write_jpeg_dicom

SIZE = 48
LOSSLESS = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
LOSSY = (JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
BY_EXTRA = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEGExtended12Bit)
NEGATIVE = (4095 - U12).astype(np.uint16)
U16 = (CHEST * 65535).astype(np.uint16)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Pixels:
    return load_image(write_dicom(tmp_path_factory.mktemp("plain") / "a.dcm"), SIZE)


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY], ids=lambda syntax: UID(syntax).keyword)
@pytest.mark.parametrize(
    "case",
    [
        (U12, 12, {}),
        (NEGATIVE, 12, {"PhotometricInterpretation": "MONOCHROME1"}),
        (U12, 12, {"WindowCenter": 4096, "WindowWidth": 8192, "RescaleSlope": 2}),
        (U12.astype(np.int16) - 2048, 12, {}),
        (U16, 16, {}),
        (U8, 8, {}),
    ],
    ids=["12 bits", "MONOCHROME1", "window", "signed", "16 bits", "8 bits"],
)
def test_a_compressed_chest_is_the_same_square(
    case: tuple[Array, int, dict[str, object]],
    syntax: UID,
    tmp_path: Path,
    expected: Pixels,
) -> None:
    values, bits, fields = case
    if syntax == JPEGExtended12Bit and (bits == 16 or values.dtype.kind == "i"):
        pytest.skip("of 8 or 12 bits, and lossy: its signs would not outlast it")
    if syntax in (JPEGLSNearLossless, JPEG2000) and values.dtype.kind == "i":
        pytest.skip("lossy: two's complements would not outlast it")
    path = write_jpeg_dicom(tmp_path / "a.dcm", syntax, values, bits=bits, **fields)
    apart = np.abs(load_image(path, SIZE).astype(int) - expected)
    assert apart.max() <= (2 if syntax in LOSSLESS or bits > 8 else 5)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: UID(syntax).keyword)
def test_lossless_values_are_exact(syntax: UID, tmp_path: Path) -> None:
    plain = load_image(write_dicom(tmp_path / "plain.dcm"), SIZE)
    packed = load_image(write_jpeg_dicom(tmp_path / "packed.dcm", syntax), SIZE)
    np.testing.assert_array_equal(packed, plain)


def problem(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_image(path, SIZE)
    return str(caught.value).removeprefix(f"{path.name}: ")


@pytest.mark.parametrize("syntax", BY_EXTRA, ids=lambda syntax: UID(syntax).keyword)
def test_a_stream_that_its_header_belies_is_refused(syntax: UID, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    taller = stream_of(np.vstack([U12, U12]), syntax)
    assert "another size or depth" in problem(write_jpeg_dicom(path, syntax, stream=taller))
    whole = stream_of(U12, syntax)
    assert "cut off or damaged" in problem(write_jpeg_dicom(path, syntax, stream=whole[:-900]))
    assert "cut off or damaged" in problem(
        write_jpeg_dicom(path, syntax, stream=b"\xff\xd8\xff\xd9")
    )
    several = write_jpeg_dicom(path, syntax, NumberOfFrames=2)
    assert "several frames (NumberOfFrames)" in problem(several)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_is_refused_by_name(photometric: str, tmp_path: Path) -> None:
    colours = np.dstack([U8] * 3)
    path = write_jpeg_dicom(
        tmp_path / "a.dcm",
        JPEGLosslessSV1,
        colours,
        bits=8,
        PhotometricInterpretation=photometric,
        PlanarConfiguration=0,
    )
    assert f"is in colour ({photometric}) and compressed as JPEG Lossless" in problem(path)
    dataset = pydicom.dcmread(path)
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.save_as(path)
    assert "is in colour, expected grey" in problem(path)


@pytest.mark.parametrize("syntax", BY_EXTRA, ids=lambda syntax: UID(syntax).keyword)
def test_a_broken_stream_ends_neither_the_process_nor_the_hour(syntax: UID, tmp_path: Path) -> None:
    """In a process of its own: a fault of a decoder would end this one."""
    write_jpeg_dicom(tmp_path / "whole.dcm", syntax)
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from client.images.jpeg_codecs import decoded_grey\n"
        "from client.images.problems import ImageProblem\n"
        "from pydicom.uid import UID\n"
        "from tests.helpers.sites.jpeg_dicom import stream_of\n"
        "from tests.helpers.phantom import U12\n"
        "syntax = UID(sys.argv[1])\n"
        "whole, said = stream_of(U12, syntax), set()\n"
        "for seed in range(300):\n"
        "    rng = np.random.default_rng(seed)\n"
        "    broken = bytearray(whole)\n"
        "    most = len(broken) if seed % 2 else 80\n"
        "    for _ in range(rng.integers(1, 6)):\n"
        "        broken[rng.integers(2, most)] = rng.integers(0, 256)\n"
        "    cut = rng.integers(10, len(broken)) if seed % 3 == 0 else len(broken)\n"
        "    stream = bytes(broken[:cut]) + b'\\xff\\xd9'\n"
        "    try:\n"
        "        decoded_grey(stream, syntax, rows=120, columns=96, bits=16, signed=False)\n"
        "    except ImageProblem as problem:\n"
        "        said.add(str(problem)[-25:])\n"
        "assert said\n"
    )
    subprocess.run([sys.executable, "-c", program, syntax], check=True, timeout=120)


def test_without_the_extra_its_command_is_named(tmp_path: Path) -> None:
    path = write_jpeg_dicom(tmp_path / "a.dcm", JPEGLosslessSV1)
    program = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from pathlib import Path\n"
        "from client.images import load_image\n"
        "try: load_image(Path(sys.argv[1]), 48)\n"
        "except Exception as error: sys.stdout.write(str(error))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "compressed as JPEG Lossless" in said.stdout and not said.stderr
    assert "pip install 'federated-irene[codecs]'" in said.stdout


def test_a_frames_header_is_found_behind_others() -> None:
    stream = stream_of(U12, JPEGLossless)
    assert frame_of(stream) == (12, 120, 96, 1)
    assert frame_of(stream[:2] + b"\xff\xfe\x00\x03x" + b"\xff" + stream[2:]) == (12, 120, 96, 1)
    for end in range(30):
        assert frame_of(stream[:end]) is None


def test_a_jp2_file_is_read(tmp_path: Path) -> None:
    Image.fromarray(U8).save(tmp_path / "a.jp2")
    Image.fromarray(U8).save(tmp_path / "a.png")
    apart = load_image(tmp_path / "a.jp2", SIZE).astype(int) - load_image(tmp_path / "a.png", SIZE)
    assert np.abs(apart).max() <= 2
