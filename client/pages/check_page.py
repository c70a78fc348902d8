"""The check of a hospital's files as one self-contained page. It holds patients' radiographs."""

import base64
import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup, escape
from PIL import Image

from client.check import Survey
from client.pages.strips import HEIGHT, WIDTH, strip
from irene_model.errors import ConfigError
from irene_model.inputs import Pixels
from irene_model.journal import write_private
from irene_model.pages import look, pages
from irene_model.study import SPLITS

_LARGEST = 224  # pixels of a radiograph on the page: beyond it the page is heavy, not clearer


@dataclass(frozen=True, kw_only=True)
class Film:
    """A radiograph on the contact sheet: its split, and a PNG as a data URI."""

    split: str
    uri: str


def write_check_page(seen: Survey, path: Path) -> None:
    """Write the page into `path`, readable by its owner alone, whole or not at all."""
    try:
        write_private(path, render_check(seen).encode(), durable=False)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.with_name(f"{path.name}.part").unlink()
        raise ConfigError(f"--html {path}: can't be written ({type(error).__name__})") from None


def render_check(seen: Survey) -> str:
    """The page's HTML."""
    style = look() + (files("client.pages") / "check.css").read_text(encoding="utf-8")
    environment = pages("client")
    environment.filters["coded"] = coded
    page = environment.get_template("pages/check.html.j2").render(
        report=seen.report,
        splits=SPLITS,
        style=Markup(style),  # our own files
        strips={name: strip(lab.histogram) for name, lab in seen.report.labs.items()},
        strip_width=WIDTH,
        strip_height=HEIGHT,
        films=list(_films(seen)),
        image_size=seen.sheet[0][1].shape[0] if seen.sheet else 0,
    )
    return page.strip() + "\n"


def coded(sentence: str) -> Markup:
    """A sentence, escaped, with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def _films(seen: Survey) -> Iterator[Film]:
    for split, pixels in seen.sheet:
        yield Film(split=split, uri=_data_uri(pixels))


def _data_uri(pixels: Pixels) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.save(written, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
