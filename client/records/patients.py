"""Which patients a charge was made for, and which are in which split, without a list of them.

The ledger may be shown to an auditor or lie in a backup, so it holds no pseudonyms: only a hash of
the whole set, and a small sketch that tells whether two sets have patients in common. The sketch is
one-permutation MinHash (Li, Owen and Zhang 2012): keyed hashes fall into 256 bins and each bin
keeps 16 bits of its smallest (b-bit MinHash, Li and König 2010). For sets of Jaccard similarity J a
filled bin agrees with probability about J; for sets without a common patient two sketches agree
somewhere by chance in at most 256 / 65,536 = 0.4% of cases.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from client.site import Site
from irene_model.study import Split


def digest(patient_id: str) -> bytes:
    """What the data set's cache keeps of an id; like all of the cache it stays at the site."""
    return hashlib.sha256(patient_id.encode()).digest()


def assignment_of(site: Site, patients: Mapping[bytes, Split]) -> str:
    """A hash of the function that gives patients their splits; equal only for equal functions.

    `patients` maps digests to splits. The hash split is a function of the id alone, whoever is
    there: it stays the same while its fractions and the column of ids do. A split column, or one of
    dates, is known for the patients in it only, so that one patient more or less makes another
    function.
    """
    if site.columns.split is None and site.splits.train_before is None:
        facts = f"hash {site.columns.patient_id} {site.splits.validation} {site.splits.test}"
        facts += "" if site.trains else " of held-out patients alone"
        return hashlib.sha256(facts.encode()).hexdigest()
    rows = sorted(digest + split.encode() for digest, split in patients.items())
    return hashlib.sha256(b"column " + b"\n".join(rows)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class PatientSet:
    """A set of patients: its size, a hash of all of it, and bin -> 4 hexadecimal digits."""

    count: int
    fingerprint: str
    sketch: Mapping[str, str]

    @classmethod
    def of(cls, digests: Iterable[bytes], *, salt: bytes) -> "PatientSet":
        """The set of the patients with `digests`; comparable under the same `salt` only."""
        return _set_of(frozenset(digests), salt)

    def shares_patients_with(self, other: "PatientSet") -> bool:
        """Whether there seems to be a common patient; see the module for how surely."""
        return not self.sketch.items().isdisjoint(other.sketch.items())


@lru_cache(maxsize=64)
def _set_of(digests: frozenset[bytes], salt: bytes) -> PatientSet:
    """Kept for the same patients, of whom a ledger is told in every round."""
    keyed = sorted({hmac.digest(salt, each, "sha256") for each in digests})
    smallest: dict[str, str] = {}
    for each in keyed:  # ascending, so the first of a bin is its smallest
        # The last bytes are uniform; the leading ones of a minimum are mostly zero.
        smallest.setdefault(each[:1].hex(), each[-2:].hex())
    return PatientSet(
        count=len(keyed),
        fingerprint=hashlib.sha256(b"".join(keyed)).hexdigest(),
        sketch=smallest,
    )
