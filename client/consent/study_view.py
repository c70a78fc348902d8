"""A study as a hospital's people see it before they approve it: what it asks and what leaves."""

from dataclasses import replace

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client.budget import Outlook
from client.site import Site
from irene_model.privacy import epsilons, evaluation_noise
from irene_model.study import Study


def show_study(study: Study, console: Console) -> None:
    """What the study says by itself."""
    console.print(f"Fingerprint {study.fingerprint}", soft_wrap=True, highlight=False)
    table = _table(f"Study {study.name}")
    for key, value in study_facts(study).items():
        table.add_row(key, escape(value))
    console.print(table)


def show_here(study: Study, site: Site, ahead: Outlook, console: Console) -> None:
    """What it would mean at this site: cost, and what leaves."""
    table = _table(f"At the site {site.site}")
    for key, value in site_facts(study, site, ahead).items():
        table.add_row(key, escape(value))
    console.print(table)


def study_facts(study: Study) -> dict[str, str]:
    """Line by line what the study asks for."""
    privacy, federation = study.privacy, study.federation
    asked = [] if privacy.epsilon is None else [f"epsilon {privacy.epsilon:g} for the whole run"]
    if privacy.noise_multiplier is not None:
        asked.append(f"noise multiplier {privacy.noise_multiplier:g}")
    image = f"images of {study.image.size} x {study.image.size}"
    others = [*study.demographics, f"texts of up to {study.text.max_tokens} tokens"]
    return {
        "labels": ", ".join(study.labels),
        "reads": ", ".join([image, f"{len(study.labs)} laboratory values", *others]),
        "model": f"{study.model.method}, {study.model.preset}",
        "rounds": f"{federation.rounds}, {federation.local_steps} steps in each",
        "sites": f"at least {federation.needed_sites}",
        "privacy": f"{' and '.join(asked)}, delta {privacy.delta:g}, by {privacy.unit}",
        "clip norm": f"{privacy.clip_norm:g}",
        "evaluations": f"{study.evaluations('validation')} on validation patients, 1 on test",
    }


def site_facts(study: Study, site: Site, ahead: Outlook) -> dict[str, str]:
    """Line by line what it would cost and what would leave here."""
    mechanism, delta = ahead.mechanism, study.privacy.delta
    facts = {
        "declared patients": str(ahead.declared_patients),
        "noise multiplier": f"{mechanism.noise_multiplier:.4g}",
    }
    if mechanism.noise_multiplier > 0:
        alone = epsilons([replace(mechanism, steps=study.total_steps)], delta=delta)
        facts["a whole run alone"] = f"epsilon {alone.smallest:.2f} at delta {delta:g}"
    if site.budget != "none":
        facts["budget"] = (
            f"the next round brings epsilon to {ahead.after_next_round.smallest:.2f} of "
            f"{site.budget.epsilon:g}; {ahead.rounds_left} of {ahead.rounds} rounds fit"
        )
    noised = "with noise" if mechanism.noise_multiplier > 0 else "WITHOUT NOISE"
    facts["leaves, each round"] = (
        f"an update of the weights, {noised}; the declared number of patients, seconds, epsilon"
    )
    facts["leaves, evaluations"] = _evaluations(study, site)
    facts["never leaves"] = "images, texts, values, ids, file names"
    return facts


def _evaluations(study: Study, site: Site) -> str:
    noise = evaluation_noise(study, "validation")
    if site.metrics == "off" or (site.metrics == "private" and noise == 0):
        return f"nothing (metrics: {site.metrics} in site.yaml)"
    if noise > 0:
        return f"histograms of scores, with noise (multiplier {noise:.4g})"
    return f"EXACT histograms of scores, of groups of at least {site.minimum_group} patients"


def _table(title: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        show_header=False,
    )  # fmt: skip
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
