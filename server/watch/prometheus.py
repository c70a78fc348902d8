"""What a monitoring system reads: Prometheus' text format, version 0.0.4. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/. A value that is not known is left
out, as Prometheus wants it; it is never a zero.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from irene_model.console import known
from irene_model.operations import Running
from server.runs import Json
from server.watch.run_progress import RunProgress

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, str], float | None]


def exposition(runs: Sequence[RunProgress], processes: Mapping[str, Running]) -> str:
    """The metrics of `runs` and of the supervised `processes`."""
    return "".join(_lines(runs, processes))


def _lines(runs: Sequence[RunProgress], processes: Mapping[str, Running]) -> Iterator[str]:
    up: list[Sample] = [({"process": n}, float(p.alive)) for n, p in processes.items()]
    yield from _gauge("irene_process_up", "1 while the supervised process lives.", up)
    restarts: list[Sample] = [({"process": n}, float(p.restarts)) for n, p in processes.items()]
    yield from _gauge("irene_process_restarts", "Restarts since its supervisor began.", restarts)
    for name, text, value in (
        ("irene_run_active", "1 while the run has rounds to do.", lambda r: float(r.active)),
        ("irene_run_silent", "1 if it is overdue.", lambda r: float(r.state == "silent")),
        ("irene_round", "Rounds that are done.", lambda r: float(r.done)),
        ("irene_rounds_planned", "Rounds of the study.", lambda r: float(r.rounds)),
        ("irene_round_seconds", "Time of the newest round.", lambda r: _newest(r, "seconds")),
        ("irene_bytes_down", "Bytes to the sites.", lambda r: _sum(r.lines, "bytes_down")),
        ("irene_bytes_up", "Bytes from the sites.", lambda r: _sum(r.lines, "bytes_up")),
        ("irene_auroc", "Macro AUROC of the newest evaluation.", _auroc),
    ):
        yield from _gauge(name, text, [({"run": run.name}, value(run)) for run in runs])
    sites: list[Sample] = [
        ({"run": run.name, "outcome": outcome}, float(count))
        for run in runs
        for outcome, count in Counter(s.outcome or "never" for s in run.sites).items()
    ]
    yield from _gauge("irene_sites", "Sites by what became of them in the newest round.", sites)
    spent: list[Sample] = [
        ({"run": run.name, "site": site.name}, site.epsilon) for run in runs for site in run.sites
    ]
    yield from _gauge(
        "irene_epsilon", "Spent by the site in this run, by the smaller of two valid bounds.", spent
    )
    alone: list[Sample] = [
        ({"run": run.name, "site": site.name}, site.epsilon_alone)
        for run in runs
        for site in run.sites
    ]
    yield from _gauge(
        "irene_epsilon_alone", "The same if all other sites of its secure sums collude.", alone
    )


def _gauge(name: str, text: str, samples: Sequence[Sample]) -> Iterator[str]:
    told = [(labels, known(value)) for labels, value in samples]
    if all(value is None for _, value in told):
        return
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in told:
        if value is None:
            continue
        written = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{written}}} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _newest(run: RunProgress, key: str) -> float | None:
    return run.lines[-1].get(key) if run.lines else None


def _sum(lines: Sequence[Json], key: str) -> float:
    return float(sum(known(line.get(key)) or 0.0 for line in lines))


def _auroc(run: RunProgress) -> float | None:
    told = [(line.get("evaluation") or {}).get("auroc") for line in run.lines]
    return next((value for value in reversed(told) if value is not None), None)
