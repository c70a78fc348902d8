"""A round's weights as `from_pretrained` reads them, written without a model for each round."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.numpy import save_file

from irene_model.errors import CheckpointError
from irene_model.exchange import Array, Arrays
from irene_model.study import Study
from irene_model.weights import load_arrays, new_model, stored_arrays

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_Shapes = dict[str, tuple[int, ...]]


@dataclass
class ModelFiles:
    """Of one study. The first are written by transformers, and the rest are as these."""

    study: Study
    _shapes: _Shapes = field(default_factory=dict, init=False)
    _config: str = field(default="", init=False)

    def write(self, folder: Path, weights: Mapping[str, Array]) -> None:
        """What `save_pretrained` of a model with these `weights` writes into the new `folder`.

        Raises CheckpointError for weights that are not those of the study's model.
        """
        if self._known() != {name: array.shape for name, array in weights.items()}:
            raise CheckpointError(f"{folder}: the weights are not those of the study's model")
        if not self._config:
            model = new_model(self.study, seed=0)
            load_arrays(model, weights)
            model.save_pretrained(folder)
            self._config = (folder / _CONFIG).read_text(encoding="utf-8")
            return
        folder.mkdir(parents=True)
        (folder / _CONFIG).write_text(self._config, encoding="utf-8")
        save_file(dict(weights), folder / _WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path) -> Arrays:
        """The weights in `folder`, in the order of the model's own."""
        return stored_arrays(folder, self._known())

    def _known(self) -> _Shapes:
        if not self._shapes:
            state = new_model(self.study, seed=0).state_dict()
            self._shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        return self._shapes
