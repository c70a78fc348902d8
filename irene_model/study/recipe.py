"""The part of study.yaml that says what is trained, and how: model, parameters, steps."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from irene_model.modalities import ALWAYS, FURTHER
from irene_model.study.settings import GrownSettings, Settings

Rate = Annotated[float, Field(ge=0, lt=1)]


Method = Literal[
    "irene", "irene_unidirectional", "irene_joint", "image_only", "clinical_only",
    "early_feature", "early_feature_pca", "early_data", "joint_feature",
    "late_mean", "late_max", "late_product", "late_rules", "late_stacker",
    "hybrid", "hierarchical", "perceiver", "git", "linear_probe",
]  # fmt: skip


class ModelShape(GrownSettings):
    """A preset of `IreneModel`, or single sizes that replace the preset's.

    `method`: IRENE, or one that it is compared with; sizes are IRENE's all the same, and another
    method but the linear probe gets as many parameters as IRENE has with them
    (`irene_model.methods.sizes`).

    `prior`: the share of positives that one expects of a label, from the literature and never
    from the patients. The head starts there instead of at one half, so that no budget is spent
    on learning that diseases are rare.

    `linear_path`: to IRENE's logits are added those of logistic regression on what is frozen
    (encoders' vectors, or those of words) and on the numbers, and IRENE's own part starts at zero:
    it begins as a linear probe. The methods that it is compared with have none.
    """

    later: ClassVar[frozenset[str]] = frozenset({"linear_path"})
    preset: Literal["tiny", "small", "base"] = "tiny"
    method: Method = "irene"
    prior: float = Field(default=0.1, gt=0, lt=1)
    linear_path: bool = False
    hidden_size: int | None = Field(default=None, ge=8)
    num_hidden_layers: int | None = Field(default=None, ge=1, le=500)
    num_bidirectional_layers: int | None = Field(default=None, ge=0)
    num_attention_heads: int | None = Field(default=None, ge=1)
    intermediate_size: int | None = Field(default=None, ge=8)
    hidden_dropout_prob: float | None = Field(default=None, ge=0, lt=1)
    attention_probs_dropout_prob: float | None = Field(default=None, ge=0, lt=1)
    layer_norm_eps: float | None = Field(default=None, gt=0, lt=1)


class ModalityDropout(GrownSettings):
    """The chance, in each local step, that a record's modality is hidden as a whole.

    A model that has met records without text copes better with hospitals that have none. `panels`
    are the study's further ones, by name.
    """

    later: ClassVar[frozenset[str]] = frozenset(each.name for each in FURTHER)
    image: Rate = 0.0
    text: Rate = 0.0
    labs: Rate = 0.0
    demographics: Rate = 0.0
    panels: dict[str, Rate] = Field(default_factory=dict)
    sounds: Rate = 0.0

    @property
    def rates(self) -> dict[str, float]:
        """Modality or panel -> chance; the further ones, where any are dropped, last."""
        always = {each.name: getattr(self, each.name) for each in ALWAYS}
        further = {each.name: r for each in FURTHER if (r := getattr(self, each.name))}
        return always | self.panels | further


class NamedSubset(Settings):
    """`all` parameters; the `head` alone; or the head and all `biases`.

    Biases alone: Zaken et al. 2022, "BitFit"; under privacy, Bu et al. 2022, "Differentially
    private bias-term fine-tuning of foundation models".
    """

    kind: Literal["all", "head", "biases"] = "all"


class LastBlocks(Settings):
    """The last `blocks` transformer blocks, the final norm and the head."""

    kind: Literal["last_blocks"]
    blocks: int = Field(ge=1)


class LowRank(Settings):
    """The head, and a correction of rank `rank` of every query and value projection.

    `alpha` over `rank` scales the correction. Hu et al. 2022, "LoRA".
    """

    kind: Literal["lora"]
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=8.0, gt=0)


Parameters = Annotated[NamedSubset | LastBlocks | LowRank, Field(discriminator="kind")]


class Training(Settings):
    """Local training. `expected_batch` counts patients a step; decay is AdamW's.

    `parameters` says what is trained, as `{kind: last_blocks, blocks: 2}`; the rest stays as the
    run starts, is not noised and is not in an update.

    The rate warms up over `warmup_rounds` and falls to `final_rate_fraction` of itself, at the
    sites or at the server: see `federation` beside this file. `sgd` is plain, without momentum:
    under `fedadam` the server has the momentum.
    """

    parameters: Parameters = NamedSubset()
    expected_batch: int = Field(default=128, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_rounds: int = Field(default=1, ge=0)
    final_rate_fraction: float = Field(default=0.1, ge=0, le=1)
    modality_dropout: ModalityDropout = ModalityDropout()
