"""What a hospital should know about its recordings before it joins: counts and doubts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from client.check.doubts import Doubt, doubts_of, unreadable
from client.images import BadImages
from client.records import PlacedRecord, sound_files
from client.sounds import Recording, RecordSounds, read_sounds
from irene_model.study import SoundShape

_SAID = {  # what a recording may be -> what it means, and whether that is a doubt
    "silent": ("are silent, and are read as absent: was the microphone off?", True),
    "short": ("are shorter than one patch, and are read as absent", True),
    "long": ("are longer than the study reads; their end is not read", False),
    "clipped": ("are clipped: was the level too high?", True),
    "mixed": ("are in stereo; both channels are mixed", False),
    "coarse": ("have a lower sample rate than the study's: what lies above is not there", True),
}
SOUND_KINDS = tuple(_SAID)


@dataclass(frozen=True, kw_only=True)
class SoundCounts:
    """The readable recordings at one position on the chest.

    kinds: how many of them are silent, short, long, clipped, mixed, coarse.
    """

    mapped: bool
    recordings: int
    missing: int
    kinds: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """All recordings of a site, by position, and the unreadable ones by cause."""

    positions: Mapping[str, SoundCounts] = field(default_factory=dict)
    bad: tuple[BadImages, ...] = ()

    def doubts(self) -> Iterator[Doubt]:
        """What looks wrong, one sentence a position and kind."""
        yield from unreadable(self.bad, "recordings")
        for position, counts in self.positions.items():
            if counts.mapped and not counts.recordings and not self.bad:
                yield from doubts_of(
                    "columns", [f"sounds.{position}: mapped, but no record has it"]
                )
            for kind, (meaning, doubtful) in _SAID.items():
                if doubtful and (count := counts.kinds[kind]):
                    said = f"{position}: {count} of {counts.recordings} recordings {meaning}"
                    yield from doubts_of("sounds", [said])

    def notes(self) -> Iterator[str]:
        """What was done with some, which is no doubt."""
        for position, counts in self.positions.items():
            for kind, (meaning, doubtful) in _SAID.items():
                if not doubtful and (count := counts.kinds[kind]):
                    yield f"{position}: {count} of {counts.recordings} recordings {meaning}"


def listen(
    placed: Sequence[PlacedRecord], shape: SoundShape | None, mapped: Mapping[str, object]
) -> Sounds:
    """Read each recording once; `mapped` are the positions that site.yaml names."""
    if shape is None:
        return Sounds()

    def look(_: RecordSounds, found: Mapping[str, Recording]) -> list[tuple[str, list[str]]]:
        return [(p, [kind for kind in _SAID if getattr(r, kind)]) for p, r in found.items()]

    records, bad = read_sounds(sound_files(placed), shape, look)
    heard = [each for record in records for each in record]
    return Sounds(
        positions={
            position: SoundCounts(
                mapped=position in mapped,
                recordings=sum(name == position for name, _ in heard),
                missing=sum(position not in each.record.sound_paths for each in placed),
                kinds={k: sum(n == position and k in kinds for n, kinds in heard) for k in _SAID},
            )
            for position in shape.positions
        },
        bad=bad,
    )
