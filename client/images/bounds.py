"""How large an image may be, judged before it is unpacked."""

from client.images.problems import ImageProblem

MOST_PIXELS = 100_000_000  # ten times the finest detector: beyond it a file is an attack
MOST_BYTES = 1 << 30


def refuse_huge(height: int, width: int) -> None:
    """Refuse what a header announces, before anything is allocated for it."""
    if height * width > MOST_PIXELS:
        raise ImageProblem(f"the image has more than {MOST_PIXELS // 1_000_000} million pixels")
