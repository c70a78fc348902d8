"""What a site maps at all of a study's modalities and labels: facts of site.yaml, of no patient."""

from client.site.site import Site
from irene_model.modalities import FURTHER, panel_modality
from irene_model.study import Study
from irene_model.weights import Labels, labels_from_text, labels_to_text


def mapped_modalities(site: Site, study: Study) -> tuple[str, ...]:
    """The study's modalities for which `site` names a column or a table."""
    columns = site.columns
    found = {
        "image": columns.image is not None,
        "text": columns.text is not None,
        "labs": site.lab_table is not None or any(lab.name in site.labs for lab in study.labs),
        "age": columns.age is not None and "age" in study.demographics,
        "sex": columns.sex is not None and "sex" in study.demographics,
    }
    panels = {panel_modality(panel.name): panel.name in site.panels for panel in study.panels}
    further = {each.name: bool(getattr(site, each.name)) for each in FURTHER}
    return tuple(each for each, does in {**found, **panels, **further}.items() if does)


def mapped_labels(site: Site, study: Study) -> Labels:
    """Which of the study's labels (K,) `site` names a column for."""
    return labels_from_text(labels_to_text([label in site.labels for label in study.labels]))
