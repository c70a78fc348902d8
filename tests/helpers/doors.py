"""An import-linter contract: a wing's files are its own, and everybody else comes by its door."""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


def wing_of(module: str) -> str | None:
    """`client.ledger` of `client.ledger.head`; None for a door, a root module, a package."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else None


class DoorsContract(Contract):
    """Broken by each import of a wing's file from outside that wing."""

    type_name = "doors"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Every direct import of the graph is looked at."""
        passed_by = [
            (importer, imported)
            for imported in sorted(graph.modules)
            if (wing := wing_of(imported)) is not None
            for importer in sorted(graph.find_modules_that_directly_import(imported))
            if wing_of(importer) != wing and importer != wing
        ]
        return ContractCheck(kept=not passed_by, metadata={"passed_by": passed_by})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line an import, with the door that it should have come by."""
        for importer, imported in check.metadata["passed_by"]:
            output.print_error(f"{importer} imports {imported}; its door is {wing_of(imported)}")
