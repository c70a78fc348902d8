"""What looks wrong in the splits: too few patients to hide among, or to judge a label by."""

from collections.abc import Mapping

from client.check.counts import LabelCounts, SplitCounts
from client.check.doubts import Doubt, doubts_of, listed
from client.site import Site
from irene_model.study import HELD_OUT, Split, Study


def doubt_splits(
    splits: Mapping[Split, SplitCounts], study: Study, *, trains: bool = True
) -> list[Doubt]:
    """Splits without patients, and a training split, where there is one, that hides nobody."""
    doubts: list[Doubt] = []
    training, batch = splits["train"].patients, study.training.expected_batch
    if trains and training < batch:
        said = (
            f"{training} training patients are fewer than the study's expected batch of {batch}: "
            "each step would use all of them, which costs the most privacy"
        )
        mend = (
            "Ask the coordinator for a smaller training.expected_batch: a site's patients are "
            "hidden among those that a step leaves out."
        )
        doubts += doubts_of("splits", [said], mend)
    return doubts + [
        each
        for split in ("validation", "test")
        if splits[split].patients == 0
        for each in doubts_of(
            "splits",
            [f"no patient is in the {split} split: this site can't be part of that evaluation"],
        )
    ]


def doubt_few(
    splits: Mapping[Split, SplitCounts], labels: Mapping[str, LabelCounts], site: Site
) -> list[str]:
    """Held-out splits in which a label can't be judged."""
    doubts = []
    for split in HELD_OUT if site.metrics != "off" else ():
        if not splits[split].patients:
            continue
        few = [
            label
            for label, counts in labels.items()
            if counts.mapped
            and min(counts.splits[split].patients_with, counts.splits[split].patients_without)
            < site.minimum_group
        ]
        if few:
            doubts.append(
                f"{split}: fewer than {site.minimum_group} patients have, or have not, "
                f"{listed(few)}: too few to judge a model here"
            )
    return doubts
