"""A study as a hospital's people see it before they approve it: what it asks and what leaves.

First what people ask about, in words; then every setting that is not the usual one, as it stands in
the contract (`client.consent.study_settings`), so that nothing a study says is out of sight; then
what it would cost and mean at this site.
"""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client.budget.budget_view import number, number_or_unknown
from client.budget.outlook import Ahead, Outlook
from client.budget.plan import permitted_evaluation, site_delta
from client.budget.prospects import hope
from client.consent import plain, unusual
from client.site import Site
from irene_model.errors import LimitExceeded, ProtocolError
from irene_model.privacy import Epsilons, evaluation_noise
from irene_model.study import HeldOut, Study
from irene_model.weights import footprint

_COLLUDING = ", if all others collude"


def show_study(study: Study, console: Console) -> None:
    """What the study says by itself."""
    console.print(f"Fingerprint {study.fingerprint}", soft_wrap=True, highlight=False)
    for title, facts in (
        (f"Study {study.name}", headline(study)),
        ("All settings that are not the usual ones", settings(study)),
    ):
        table = _table(title)
        for key, value in facts.items():
            table.add_row(escape(key), escape(value))
        console.print(table)


def show_here(study: Study, site: Site, ahead: Outlook, console: Console) -> None:
    """What it would mean at this site: cost, and what leaves."""
    table = _table(f"At the site {site.site}")
    for key, value in site_facts(study, site, ahead).items():
        table.add_row(key, escape(value))
    console.print(table)


def study_facts(study: Study) -> dict[str, str]:
    """Line by line all that the study asks for."""
    return {**headline(study), **settings(study)}


def settings(study: Study) -> dict[str, str]:
    """Dotted key -> value, of every setting that is not the usual one."""
    return {f"· {each.key}": each.shown for each in unusual(study)}


def headline(study: Study) -> dict[str, str]:
    """What people ask about first. Raises ConfigError for sizes that make no model."""
    privacy, federation, training = study.privacy, study.federation, study.training
    size = footprint(study)
    asked = [] if privacy.epsilon is None else [f"epsilon {privacy.epsilon:g} for the whole run"]
    if privacy.noise_multiplier is not None:
        asked.append(f"noise multiplier {privacy.noise_multiplier:g}")
    image = f"images of {study.image.size} x {study.image.size}"
    panels = [f"{panel.name} ({len(panel.values)} values)" for panel in study.panels]
    texts = f"texts of up to {study.text.max_tokens * study.text.windows} tokens"
    others = [*study.demographics, texts, *panels]
    if (sounds := study.sounds) is not None:
        places = ", ".join(sounds.positions)
        others.append(f"recordings of up to {sounds.seconds:g} s ({places})")
    return {
        "labels": ", ".join(study.labels),
        "reads": ", ".join([image, f"{len(study.labs)} laboratory values", *others]),
        "model": (
            f"{study.model.method}, {study.model.preset}: {size.parameters:,} parameters, "
            f"{size.tokens:,} tokens of a record"
        ),
        "trained": f"{size.trained:,} parameters ({training.parameters.kind})",
        "rounds": (
            f"{federation.rounds}, {federation.local_steps} steps in each: "
            f"{study.total_steps} steps in all"
        ),
        "a step": (
            f"{training.expected_batch} patients on average{_of_all(study)}, {training.optimizer}, "
            "learning rate "
            f"{training.learning_rate:g}; at the server {federation.strategy}, rate "
            f"{federation.server_learning_rate:g}"
        ),
        "travels, each round": f"{_mb(size.down)} to the site, {_mb(size.up)} from it",
        "sites": f"at least {federation.needed_sites}",
        **_secure_sums(study),
        "privacy": f"{' and '.join(asked)}, delta {privacy.delta:g}, by {privacy.unit}",
        "clip norm": f"{privacy.clip_norm:g}",
        "evaluations": f"{_evaluation(study, 'validation')}; {_evaluation(study, 'test')}",
    }


_EVALUATES = (
    "this site only evaluates: it declines every round of training, and what is said of training "
    "below is what it would cost if it did"
)


def _of_all(study: Study) -> str:
    return " of all sites together" if study.federation.secure else ""


def _secure_sums(study: Study) -> dict[str, str]:
    secure = study.federation.secure
    if secure is None:
        return {}
    return {
        "secure sums": (
            f"the coordinator sees sums of at least {study.federation.minimum_sites} sites and no "
            "site's own; their noise together hides your patients, also where any "
            f"{secure.colluding} of the others collude with it"
        )
    }


def site_facts(study: Study, site: Site, ahead: Outlook) -> dict[str, str]:
    """Line by line what it would cost and what would leave here."""
    mechanism = ahead.mechanism
    size, delta = footprint(study), site_delta(site, study)
    patients = min(site.memory.usual_micro_batch, study.training.expected_batch)
    auto = " on a processor, on a GPU as many as fit" * (site.memory.micro_batch == "auto")
    facts = {} if site.trains else {"role": _EVALUATES}
    facts |= {
        "declared patients": str(ahead.declared_patients),
        "a patient's chance": f"{mechanism.sample_rate:.4g} to take part in a step",
        "noise multiplier": _noise(ahead),
        "memory": f"about {size.memory(patients) / 2**30:.2g} GiB, {patients} patients at a time"
        f"{auto}",
    }
    budget = None if site.budget == "none" else site.budget
    views: list[tuple[str, Ahead, float | None]] = [("", ahead, budget.epsilon if budget else None)]
    if ahead.if_all_collude is not None:
        views.append((_COLLUDING, ahead.if_all_collude, budget.alone if budget else None))
    for whom, seen, most in views:
        if mechanism.noise_multiplier > 0:
            for split, alone in seen.alone.items():
                what = "training" if split == "train" else f"{split} patients"
                cost = f"{_both(alone)} at your delta {delta:g}"
                facts[f"a whole run by itself, {what}{whom}"] = cost
        if most is not None:
            facts[f"budget{whom}"] = (
                f"the next round brings epsilon to {number(seen.after_next_round.smallest)} of "
                f"{most:g}; {seen.rounds_left} of {ahead.rounds} rounds fit"
            )
            facts[f"budget afterwards{whom}"] = _afterwards(most, seen)
    if site.trains and (doubt := hope(study, mechanism, ahead.declared_patients)):
        facts["what to hope for"] = doubt
    facts["leaves, each round"] = _leaves(study, ahead) if site.trains else "nothing"
    facts["leaves, evaluations"] = _evaluations(study, site)
    facts["never leaves"] = "images, texts, values, ids, file names"
    return facts


def _noise(ahead: Outlook) -> str:
    multiplier = f"{ahead.mechanism.noise_multiplier:.4g}"
    if ahead.if_all_collude is None:
        return multiplier
    own = ahead.if_all_collude.mechanism.noise_multiplier
    return (
        f"{multiplier} of as few sites as may be, without those that collude; {own:.4g} of it is "
        "this site's own"
    )


def _leaves(study: Study, ahead: Outlook) -> str:
    size = footprint(study)
    noised = "with noise" if ahead.mechanism.noise_multiplier > 0 else "WITHOUT NOISE"
    if study.federation.secure is not None:
        return (
            f"a sum of clipped gradients, {noised}, masked: only all sites' sums together can be "
            f"read; {_mb(size.up)}, seconds, both epsilons"
        )
    return (
        f"an update of the weights, {noised}, {_mb(size.up)}; the declared number of patients, "
        "seconds, epsilon"
    )


def _afterwards(budget: float, ahead: Ahead) -> str:
    """What is left once the whole run is charged, or why it will not come to that."""
    after = ahead.after_all
    if after <= budget:
        return (
            f"after the whole run, evaluations included: epsilon {number(after)} spent, "
            f"{number(budget - after)} left"
        )
    beyond = [
        "training" if split == "train" else f"the evaluations of {split} patients"
        for split, each in ahead.after_run.items()
        if each.smallest > budget
    ]
    return (
        f"NOT ALL OF IT FITS: {' and '.join(beyond)} would bring epsilon to {number(after)}; what "
        "exceeds the budget is declined"
    )


def _evaluation(study: Study, split: HeldOut) -> str:
    try:
        noise = evaluation_noise(study, split)
    except ProtocolError:
        return f"none on {split} patients: no noise reaches the epsilon"
    way = f"noise multiplier {noise:.4g} each" if noise else "EXACT COUNTS"
    return f"{study.evaluations(split)} on {split} patients, {way}"


def _evaluations(study: Study, site: Site) -> str:
    try:
        noise = evaluation_noise(study, "validation")
    except ProtocolError as error:
        return f"nothing: {error}"
    if site.metrics == "off" or (site.metrics == "private" and noise == 0):
        return f"nothing (metrics: {site.metrics} in site.yaml)"
    try:
        permitted_evaluation(site, study, "validation", study.federation.rounds)
    except LimitExceeded as error:
        return f"nothing: {error}"
    if noise > 0:
        masked = ", masked" if study.federation.secure else ""
        return f"histograms of scores, with noise (multiplier {noise:.4g}){masked}"
    return f"EXACT histograms of scores, of groups of at least {site.minimum_group} patients"


def _both(alone: Epsilons) -> str:
    return (
        f"epsilon {number(alone.smallest)} (by RDP {number(alone.rdp)}, by PRV "
        f"{number_or_unknown(alone.prv)})"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.2f} MB"


def _table(title: str) -> Table:
    table = Table(
        title=escape(plain(title)), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        show_header=False,
    )  # fmt: skip
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
