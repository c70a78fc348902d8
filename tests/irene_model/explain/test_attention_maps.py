"""Attention maps and rollout against loops over records, heads and tokens."""

import torch
from torch import Tensor

from irene_model.explain.attention_maps import (
    block_maps,
    clinical_read,
    patches_read,
    read_by_head,
    rollout,
)
from irene_model.explain.layout import TokenLayout
from irene_model.network.encoder import BidirectionalMaps
from tests.helpers.models.small_irene import B, L, T, inputs, masks, small_config, small_model

LAYOUT = TokenLayout.of(small_config())
ONE_OF_EACH = TokenLayout(grid=(1, 1), text=1, labs=1)  # class, patch, text, lab, sex, age


def random_maps(keys: Tensor, queries: int, g: torch.Generator) -> Tensor:
    """Attention of `queries` tokens over present `keys` (B,M), (B,2,queries,M)."""
    weights = torch.rand(len(keys), 2, queries, keys.shape[1], generator=g)
    weights = weights * keys[:, None, None, :]
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)


def example(present: Tensor) -> tuple[BidirectionalMaps, Tensor]:
    """A bidirectional and a joint block's maps over 2 image and 4 clinical tokens."""
    g = torch.Generator().manual_seed(3)
    image, clinical = present[:, :2], present[:, 2:]
    return BidirectionalMaps(
        image_to_image=random_maps(image, 2, g),
        image_to_clinical=random_maps(clinical, 2, g),
        clinical_to_clinical=random_maps(clinical, 4, g),
        clinical_to_image=random_maps(image, 4, g),
    ), random_maps(present, 6, g)


PRESENT = torch.tensor(
    [
        [True] * 6,
        [True, True, True, False, True, False],
        [False, False, True, True, False, True],  # no image
        [True, True, False, False, False, False],  # nothing clinical
        [False] * 6,
    ]
)


def slow_rollout(four: BidirectionalMaps, joint: Tensor, present: list[bool], b: int) -> Tensor:
    """One record's rollout, token by token: what stays, and what comes from each that is read."""
    heads = joint.shape[1]
    here = [i for i, is_there in enumerate(present) if is_there]
    has_image, has_clinical = any(present[:2]), any(present[2:])

    def bidirectional(query: int, key: int) -> float:
        paths = has_image + has_clinical
        same, other = (
            (four.image_to_image, four.image_to_clinical)
            if query < 2
            else (four.clinical_to_image, four.clinical_to_clinical)
        )
        read = same[b, :, query % 2 if query < 2 else query - 2, key] if key < 2 else None
        if read is None:
            read = other[b, :, query if query < 2 else query - 2, key - 2]
        return float(read.sum()) / heads / paths

    def ordinary(query: int, key: int) -> float:
        return float(joint[b, :, query, key].sum()) / heads

    carried = {i: {j: float(i == j) for j in here} for i in here}
    for attention in (bidirectional, ordinary):
        carried = {
            i: {
                j: 0.5 * carried[i][j] + 0.5 * sum(attention(i, k) * carried[k][j] for k in here)
                for j in here
            }
            for i in here
        }
    return torch.tensor([[carried.get(i, {}).get(j, 0.0) for j in range(6)] for i in range(6)])


def test_rollout_is_the_slow_one() -> None:
    four, joint = example(PRESENT)
    rolled = rollout(block_maps((four, joint), PRESENT), PRESENT)
    for b, present in enumerate(PRESENT.tolist()):
        torch.testing.assert_close(rolled[b], slow_rollout(four, joint, present, b))
    assert not rolled[4].any()


def test_present_rows_sum_to_one_and_absent_tokens_have_no_part() -> None:
    maps = block_maps(example(PRESENT), PRESENT)
    for reads in (maps, rollout(maps, PRESENT)[:, None, None]):
        rows = PRESENT.float()[:, None, None].expand(reads.shape[:-1])
        torch.testing.assert_close(reads.sum(-1), rows)
        assert not (reads * ~PRESENT[:, None, None, None, :]).any()


def test_a_block_that_reads_nothing_new_changes_nothing() -> None:
    """With the identity for attention, every token has read itself, however many blocks."""
    present = PRESENT[1:2]
    identity = torch.diag_embed(present.float())[:, None, None].expand(-1, 5, 3, -1, -1)
    torch.testing.assert_close(rollout(identity, present), identity[:, 0, 0])


def test_the_mean_of_two_paths_by_hand() -> None:
    """Patch and class read only the text; text and age share the image evenly."""
    zeros, present = torch.zeros, torch.tensor([[True, True, True, False, False, True]])
    ii = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    ic = zeros(1, 1, 2, 4)
    ic[..., 0] = 1.0
    cc = zeros(1, 1, 4, 4)
    cc[..., 3] = 1.0
    ci = torch.full((1, 1, 4, 2), 0.5)
    (block,) = block_maps((BidirectionalMaps(ii, ic, cc, ci),), present)[0, :, 0]
    image_row = torch.tensor([0.5, 0.0, 0.5, 0.0, 0.0, 0.0])
    clinical_row = torch.tensor([0.25, 0.25, 0.0, 0.0, 0.0, 0.5])
    nothing = zeros(6)
    expected = [image_row, image_row, clinical_row, nothing, nothing, clinical_row]
    assert torch.equal(block, torch.stack(expected))
    # The head reads the mean of the four present tokens, each half itself, half what it read.
    still = torch.eye(6)[present[0]].sum(0)
    read = read_by_head(rollout(block[None, None, None], present), present)
    torch.testing.assert_close(read[0], (still + 2 * image_row + 2 * clinical_row) / 8)
    assert clinical_read(block, ONE_OF_EACH).tolist() == [0.5, 0.0, 0.0, 0.0]
    assert patches_read(block, ONE_OF_EACH).flatten().tolist() == [0.25, 0.0, 0.0, 0.25]


def test_layout_is_the_order_of_the_embeddings() -> None:
    """Changing one input moves the tokens that the layout gives it, and no others."""
    model, batch = small_model(), inputs(records=1)
    places = LAYOUT.parts
    assert [place.start for place in places.values()][1:] == [
        place.stop for place in places.values()
    ][:-1]

    def tokens(changed: dict[str, Tensor]) -> Tensor:
        unsaid = dict.fromkeys(
            ("image_mask", "text_embeddings", "text_mask", "lab_mask", "demographics_mask")
        )
        streams = model.embeddings(**{**unsaid, **batch, **changed})
        return torch.cat([streams.image, streams.clinical], dim=1)[0]

    before = tokens({})
    assert len(before) == LAYOUT.clinical.stop
    pixels = batch["pixel_values"].clone()
    pixels[..., 0:4, 4:8] += 1  # the first row's second patch
    ids, labs = batch["input_ids"].clone(), batch["lab_values"].clone()
    ids[0, 2] = (ids[0, 2] + 1) % 5
    labs[0, 1] += 1
    for changed, moved in (
        ({"pixel_values": pixels}, places["patches"].start + 1),
        ({"input_ids": ids}, places["text"].start + 2),
        ({"lab_values": labs}, places["labs"].start + 1),
        ({"sex": 1 - batch["sex"]}, places["sex"].start),
        ({"age": batch["age"] + 1}, places["age"].start),
    ):
        differs = (tokens(changed) != before).any(dim=1)
        assert differs.nonzero().flatten().tolist() == [moved]


def test_presence_is_the_models_own() -> None:
    model, batch = small_model(), inputs() | masks(4)
    streams = model.embeddings(text_embeddings=None, **batch)
    own = torch.cat([streams.image_present, streams.clinical_present], dim=1)
    assert torch.equal(LAYOUT.presence(batch), own)
    assert LAYOUT.presence(inputs()).all()


def test_maps_of_a_model_with_gaps() -> None:
    model, batch = small_model(), inputs() | masks(1)
    present = LAYOUT.presence(batch)
    with torch.no_grad():
        out = model(**batch, output_attentions=True)
    maps = block_maps(out.attentions, present)
    assert maps.shape == (B, 3, 2, LAYOUT.clinical.stop, LAYOUT.clinical.stop)
    rows = present.float()[:, None, None].expand(maps.shape[:-1])
    torch.testing.assert_close(maps.sum(-1), rows)
    torch.testing.assert_close(
        maps[:, 2] * ~present[:, None, :, None], torch.zeros_like(maps[:, 2])
    )
    reads = patches_read(maps, LAYOUT)
    assert reads.shape == (B, 3, 2, T + L + 2, 2, 2)
    assert clinical_read(maps, LAYOUT).shape == (B, 3, 2, T + L + 2)
    # A clinical token of the second block, head 1: the four patches row by row.
    expected = maps[0, 1, 1, LAYOUT.num_image + T, 1:5].view(2, 2)
    assert torch.equal(reads[0, 1, 1, T], expected)
    read = read_by_head(rollout(maps, present), present)
    torch.testing.assert_close(read.sum(-1), present.any(-1).float())
