"""The pieces that words are most often made of, by byte-pair encoding.

Sennrich, Haddow & Birch, "Neural Machine Translation of Rare Words with Subword Units", ACL 2016,
algorithm 1: the pair of neighbouring pieces that is seen most often becomes one piece, over and
over. Ties go to the pair that sorts last, so that the same words always give the same pieces; the
trainers of the library `tokenizers` break them at random.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

Pair = tuple[str, str]
CONTINUED = "##"  # before a piece that does not begin a word


def learn_pieces(often: Mapping[str, int], count: int) -> list[str]:
    """Up to `count` pieces of two letters and more, in the order in which they are joined.

    often: word -> how much it weighs.
    """
    cut = [(_letters(word), weight) for word, weight in sorted(often.items())]
    seen: Counter[Pair] = Counter()
    held: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, (pieces, weight) in enumerate(cut):
        for pair in pairwise(pieces):
            seen[pair] += weight
            held[pair].add(number)
    learned: dict[str, None] = {}  # two pairs may make the same piece
    while len(learned) < count and seen:
        best = max(seen, key=lambda pair: (seen[pair], pair))
        if not seen[best]:  # every word is one piece
            break
        learned[_joined(best)] = None
        for number in sorted(held[best]):
            pieces, weight = cut[number]
            joined = _join(pieces, best)
            for pair in pairwise(pieces):
                seen[pair] -= weight
                held[pair].discard(number)
            for pair in pairwise(joined):
                seen[pair] += weight
                held[pair].add(number)
            cut[number] = joined, weight
        del seen[best], held[best]
    return list(learned)


def _letters(word: str) -> list[str]:
    return [word[0], *(CONTINUED + letter for letter in word[1:])]


def _joined(pair: Pair) -> str:
    return pair[0] + pair[1].removeprefix(CONTINUED)


def _join(pieces: list[str], pair: Pair) -> list[str]:
    """`pieces` with every `pair` in them as one."""
    made: list[str] = []
    place = 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            made.append(_joined(pair))
            place += 2
        else:
            made.append(pieces[place])
            place += 1
    return made
