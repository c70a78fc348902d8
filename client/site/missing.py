"""Which words in a cell say that nothing is known: one list for ids, texts, numbers and labels.

They are what exports write: databases (`NULL`, `\\N`), statistics programs (`NA`, `NaN`, `.`),
Excel (`#N/A`), programming languages (`None`), and people in several languages (`k. A.`, `non
renseigné`). Only what can mean nothing else is here: `neg`, `trace` or `n.n.` (not detectable) are
results. A site adds its own under `missing` in site.yaml.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# The cell is empty, in so many words.
_NOTHING = """
na; n/a; n.a.; <na>; #n/a; #na; #n/a n/a; #null!; null; nul; (null); [null]; <null>; none; <none>
nil; nan; -nan; nat; \\n; \\\\n; void; blank; (blank); empty; (empty); leer; (leer); vide; undefined
undef; 1.#qnan; -1.#qnan; 1.#ind; -1.#ind; 0000-00-00; 0000-00-00 00:00:00; 00.00.0000; 00/00/0000
not applicable; does not apply; nicht zutreffend; trifft nicht zu; entfällt; sans objet
non applicable; no aplica; no procede; não se aplica; non applicabile; niet van toepassing; n.v.t.
nie dotyczy
"""
# Somebody does not know, or did not look: of an event, that says neither yes nor no.
_UNKNOWN = """
unknown; unk; unkn; unknwn; not known; missing; (missing); n.d.; nd; n/d; not done; not determined
not measured; not tested; not performed; not taken; not recorded; not reported; not documented
not stated; not specified; not given; not available; not obtained; not assessed; unavailable
unspecified; no data; no value; no result; no information; no info; no record; pending; to follow
tba; tbd; refused; declined; prefer not to say; withheld; masked; redacted; anonymised; anonymized
unbekannt; unbek.; nicht bekannt; k.a.; ka; keine angabe; keine angaben; keine daten; kein wert
nicht bestimmt; nicht gemessen; nicht durchgeführt; nicht erhoben; nicht verfügbar
nicht dokumentiert; nicht angegeben; n.b.; fehlt; fehlend; ausstehend; folgt
inconnu; inconnue; non connu; non renseigné; non renseignée; non disponible; non déterminé; non fait
non réalisé; non mesuré; non précisé; manquant; donnée manquante; en attente
desconocido; desconocida; no disponible; no realizado; no determinado; no consta; sin datos; s/d
faltante; pendiente; desconhecido; desconhecida; não disponível; não realizado; sem dados
não informado; ignorado; sconosciuto; sconosciuta; non noto; non disponibile; non eseguito
non pervenuto; dato mancante; mancante; onbekend; niet bekend; niet beschikbaar; niet gemeten
niet bepaald; niet gedaan; ontbreekt; okänd; okänt; ej utfört; saknas; ukendt; ukjent; mangler
tuntematon; puuttuu; nieznany; nieznane; brak danych; nie wykonano; neznámý; neznámé; neuvedeno
nezjištěno; ismeretlen; nincs adat; bilinmiyor; неизвестно; нет данных; άγνωστο; 不明; 未知; 미상
"""
_SIGNS = re.compile(r"[-\u2010-\u2015\u2212_.\u2026\u00b7~*/\\\s]+")  # dashes, dots, strokes
_NUMBER = re.compile(r"[-+]?\d{1,15}(\.\d*)?", re.ASCII)
_NO_DIGIT = re.compile(r"[^0-9]*")
_ASKED = re.compile(r"[?\u00bf\uff1f\s]+")
_INITIALS = re.compile(r"(\w\. ?)+\w?")
_LONGEST = 60  # letters; a complaint may have 100,000
_EDGES = re.compile(r"""^[\s"'(\[<{]+|[\s"')\]>}]+$""")


def plain(cell: str) -> str:
    """A cell as words are compared: without case, without needless spaces."""
    return " ".join(cell.split()).casefold()


def _words(listed: str) -> frozenset[str]:
    return frozenset(map(plain, listed.replace("\n", ";").split(";"))) - {""}


NOTHING, UNKNOWN = _words(_NOTHING), _words(_UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class MissingWords:
    """The product's words and the site's own, compared without case."""

    own: frozenset[str] = frozenset()
    numbers: frozenset[float] = frozenset()

    @classmethod
    def of(cls, words: Iterable[str]) -> "MissingWords":
        """With a site's own `words`; a number, as -99, is meant however it is written."""
        own = frozenset(map(plain, words))
        return cls(own=own, numbers=frozenset(map(float, filter(_NUMBER.fullmatch, own))))

    def __contains__(self, cell: str) -> bool:
        """Whether `cell` is empty or says that nothing is known."""
        return self.nothing(cell) or self.unknown(cell)

    def nothing(self, cell: str) -> bool:
        """Empty, in so many words or as the site lists it."""
        if not cell:
            return True
        if _NUMBER.fullmatch(cell):  # the most of a table's cells
            return float(cell) in self.numbers
        return any(
            word in NOTHING or word in self.own or bool(_SIGNS.fullmatch(word))
            for word in _forms(cell)
        )

    def unknown(self, cell: str) -> bool:
        """Somebody does not know, or did not look."""
        if not _NO_DIGIT.fullmatch(cell):  # of these words none has one: most cells end here
            return False
        return any(word in UNKNOWN or bool(_ASKED.fullmatch(word)) for word in _forms(cell))


def _forms(cell: str) -> tuple[str, ...]:
    """A cell as it stands, and without brackets, quotes, or the gaps in `n. d.` and `N / A`."""
    if len(cell) > _LONGEST:
        return ()
    word = plain(cell)
    bare = _EDGES.sub("", word).replace(" / ", "/")
    if _INITIALS.fullmatch(bare):
        bare = bare.replace(" ", "").rstrip(".") + "."
    return (word, bare)
