"""Records that are left out since their radiograph's header says what the site does not want."""

from collections import Counter
from collections.abc import Mapping, Sequence

from client.images import HeaderFacts, read_headers
from client.site import ImageFilter
from irene_model.study import Record


def unwanted(records: Sequence[Record], wanted: ImageFilter) -> Mapping[int, str]:
    """Row -> why it is left out, in words that may be shown and counted.

    A record without an image, and one whose header does not say, is kept: nobody knows better.
    """
    if not wanted.asks:
        return {}
    headers = read_headers([record.image_path for record in records])
    reasons = ((row, _why(facts, wanted)) for row, facts in enumerate(headers) if facts is not None)
    return {row: why for row, why in reasons if why}


def counted(reasons: Mapping[int, str]) -> dict[str, int]:
    """Reason -> records, the most frequent first."""
    return dict(Counter(reasons.values()).most_common())


def _why(facts: HeaderFacts, wanted: ImageFilter) -> str:
    if wanted.modality and facts.modality and facts.modality not in wanted.modality:
        return f"modality {facts.known_modality}, not in images.modality"
    if wanted.views and facts.view and facts.view not in wanted.views:
        return f"view {facts.known_view}, not in images.views"
    return ""
