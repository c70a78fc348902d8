"""What the coordinator sees of a run that is going on: a row a round, and who was not in it."""

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from irene_model.console import figure, known
from server.runs import Json, epsilon_in

_COLUMNS = {"round": 7, "sites": 7, "AUROC": 7, "epsilon": 8, "seconds": 8, "MB in": 8}


class RoundsView:
    """Prints one row at a time: rounds take minutes, and the terminal is a record."""

    def __init__(self, console: Console, total: int) -> None:
        """`total`: the study's rounds."""
        self._console = console
        self._total = total
        self._headed = False
        self._widths = {**_COLUMNS, "round": max(_COLUMNS["round"], 2 * len(str(total)) + 1)}

    def show(self, line: Json) -> None:
        """One line of rounds.jsonl; every site that sent no update is named with the reason."""
        sites = line["sites"]
        auroc = (line.get("evaluation") or {}).get("auroc")
        spent = [e for s in sites.values() if (e := epsilon_in(s)) is not None]
        sent = sum(known(s.get("bytes_up")) or 0.0 for s in sites.values())
        table = Table(
            *(Column(name, width=width, justify="right") for name, width in self._widths.items()),
            box=None,
            show_header=not self._headed,
        )
        table.add_row(
            f"{line['round']}/{self._total}",
            f"{sum(s['outcome'] == 'updated' for s in sites.values())}/{len(sites)}",
            figure(auroc, unknown="-"),
            figure(max(spent, default=None), 2, unknown="-"),
            figure(line["seconds"], 0, unknown="-"),
            figure(sent / 1e6, 2),
        )
        self._headed = True
        self._console.print(table)
        for site, entry in sites.items():
            if entry["outcome"] != "updated":
                said = f"{site}: {entry['outcome']}: {entry.get('reason') or 'no reason given'}"
                self._console.print(f"        {escape(said)}", soft_wrap=True, highlight=False)
            if "ledger" in entry:
                said = f"{site}: {entry['ledger']}"
                self._console.print(f"        {escape(said)}", soft_wrap=True, highlight=False)
