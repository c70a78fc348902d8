"""Flower's program that runs the ServerApp, with its token out of the list of processes."""

from flwr.superlink.cli.flwr_serverapp import flwr_serverapp

from irene_model.operations import take_back

if __name__ == "__main__":
    take_back()
    flwr_serverapp()
