"""This site's place in a study's roster: the keys in it must be the site's own.

A coordinator that gives other sites another key for this one could sit between them, so a site
takes part under its own keys alone. Those of other sites can't be judged here: hospitals compare
the roster's fingerprint among themselves, and the site approves it with the study. One key that was
swapped afterwards makes another study, which nobody approved.
"""

from dataclasses import dataclass

from client.consent import key_sha256, read_mask_key
from client.gateway import remembered
from client.site import Site
from irene_model.errors import RosterMismatch
from irene_model.secure import MaskKey
from irene_model.study import Roster, Study

_REMEDY = "let the coordinator make the roster anew, and compare its fingerprint among hospitals"


@dataclass(frozen=True, kw_only=True)
class Membership:
    """name: this site's, in the roster. key: its own mask key. minimum: sites that a sum needs."""

    name: str
    roster: Roster
    key: MaskKey
    minimum: int

    @classmethod
    def of(cls, site: Site, study: Study) -> "Membership | None":
        """That of `site` in a study with secure sums; None where the study has none.

        Raises RosterMismatch where the roster is missing, lacks the site, or has another key for
        it, and ConfigError where the site's mask key can't be read. The node's key is judged as far
        as it is known: in a simulation, and before the first start, there is none.
        """
        secure = study.federation.secure
        if secure is None:
            return None
        if secure.roster is None:
            raise RosterMismatch(
                "the study has secure sums and names no roster (federation.secure.roster), without "
                "which nobody knows with whom a sum is shared"
            )
        member = next((m for m in secure.roster.members if m.name == site.site), None)
        if member is None:
            raise RosterMismatch(
                f"the study's roster has no site {site.site}; send the mask.pub of `irene-client "
                f"keygen` to the coordinator, and {_REMEDY}"
            )
        key = read_mask_key(site.resolve(site.mask_key))
        if member.mask_key != key.public:
            raise RosterMismatch(
                f"the study's roster has another mask key for {site.site} than this site's own: "
                f"somebody swapped it, or it is an old one; {_REMEDY}"
            )
        connection = remembered(site)
        if connection is not None and member.node_key != key_sha256(connection.key):
            raise RosterMismatch(
                f"the study's roster has another node key for {site.site} than this site's own: "
                f"somebody swapped it, or it is an old one; {_REMEDY}"
            )
        return cls(
            name=site.site,
            roster=secure.roster,
            key=key,
            minimum=study.federation.minimum_sites,
        )
