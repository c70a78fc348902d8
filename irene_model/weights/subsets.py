"""Which parameters of a model are trained; the others keep the values that a run starts with.

Noise grows with the number of trained parameters and a clipped gradient's norm does not, so a part
of the model may learn more under privacy than the whole.
"""

from irene_model.errors import ConfigError
from irene_model.network import DiagnosticModel, IreneModel, adapters
from irene_model.study import LastBlocks, LowRank, Parameters


def choose_trained(model: DiagnosticModel, parameters: Parameters) -> None:
    """Freeze all of `model` that `parameters` leaves out; the heads are always trained.

    A number of blocks that the model does not have is a ConfigError.
    """
    model.requires_grad_(parameters.kind == "all")
    for head in model.heads:
        head.requires_grad_(True)
    match parameters:
        case LastBlocks(blocks=count):
            _train_last_blocks(model, count)
        case LowRank():
            for layer in adapters(model).values():
                layer.down.requires_grad_(True)
                layer.up.requires_grad_(True)
        case _ if parameters.kind == "biases":
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.requires_grad_(True)


def _train_last_blocks(model: DiagnosticModel, count: int) -> None:
    if not isinstance(model, IreneModel):
        raise ConfigError(
            "training.parameters: last_blocks needs model.method irene, image_only or another that "
            "is one stack of blocks"
        )
    blocks = [*model.encoder.bidirectional, *model.encoder.joint]
    if count > len(blocks):
        raise ConfigError(
            f"training.parameters.blocks: the model has {len(blocks)} blocks, not {count}"
        )
    for part in (*blocks[-count:], model.encoder.norm):
        part.requires_grad_(True)
