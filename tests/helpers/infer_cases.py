"""Inference from a folder and raw findings: a program of its own, or a function in a test.

`python -m tests.helpers.infer_cases FOLDER CASES.json OUT.safetensors` writes the model's inputs and logits
and prints the probabilities. It knows nothing of hospitals, sites and runs.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from irene_model import Case, IreneModel, IreneProcessor


def infer(folder: str, cases: str, out: str) -> list[dict[str, float]]:
    """The probabilities of the cases."""
    processor, model = IreneProcessor.from_pretrained(folder), IreneModel.from_pretrained(folder)
    read = json.loads(Path(cases).read_text())
    images = [case.pop("image") for case in read]
    batch = processor(
        [
            Case(image=image and Image.open(image), **case)
            for case, image in zip(read, images, strict=True)
        ]
    )
    with torch.no_grad():
        logits = model.eval()(**batch).logits
    save_file({**{name: t.contiguous() for name, t in batch.items()}, "logits": logits}, out)
    return processor.by_label(logits)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(infer(*sys.argv[1:])))
