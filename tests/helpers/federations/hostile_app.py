"""A Flower app whose client part tells when a hospital imports or calls it."""

from pathlib import Path

_PROJECT = """
[project]
name = "hostile-app"
version = "1.0.0"
license = "Apache-2.0"
[tool.flwr.app]
publisher = "hostile"
fab-include = ["**/*.py"]
[tool.flwr.app.components]
serverapp = "hostile.driver:app"
clientapp = "hostile.client:app"
[tool.flwr.app.config]
study = ""
out = ""
"""
_CLIENT = """
from pathlib import Path
from flwr.clientapp import ClientApp
Path({marker!r}).open("a").write("imported")
app = ClientApp()
@app.query()
def query(message, context):
    Path({marker!r}).open("a").write("called")
@app.train()
def train(message, context):
    Path({marker!r}).open("a").write("called")
"""
# What it drives is `drive`, which each test writes.
_SERVER = """
import json, time
from pathlib import Path
from flwr.serverapp import ServerApp
from irene_model.exchange import HelloReply, HelloRequest
from irene_model.study.study import Study
from server.rounds.exchange import Exchange

app = ServerApp()

@app.main()
def main(grid, context):
    study = Study.read(Path(context.run_config["study"]))
    with Path(context.run_config["out"]).open("a", buffering=1) as out:
        drive(study, Exchange(grid), out)

"""


def write_hostile_app(folder: Path, *, driver: str, marker: Path) -> Path:
    """The app in `folder`/hostile-app. driver: source of `drive(study, exchange, out)`."""
    app = folder / "hostile-app"
    (app / "hostile").mkdir(parents=True)
    (app / "pyproject.toml").write_text(_PROJECT)
    (app / "hostile" / "__init__.py").touch()
    (app / "hostile" / "driver.py").write_text(_SERVER + driver)
    (app / "hostile" / "client.py").write_text(_CLIENT.format(marker=str(marker)))
    return app
