"""The command line: `regulars COMMAND`, one command a step of the loop; imports late."""

from __future__ import annotations

import typer

from pipelines import (
    cli_activate,
    cli_data,
    cli_experiment,
    cli_flows,
    cli_keys,
    cli_models,
    cli_publish,
    cli_retention,
    cli_simulate,
)

app = typer.Typer(
    name="regulars",
    help="A retailer's raw events in; for every customer, the products that bring her back, out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(cli_flows.demo)
app.command()(cli_data.synthetic)
app.command()(cli_data.ingest)
app.command()(cli_data.features)
app.command()(cli_models.train)
app.command()(cli_models.judge)
app.command()(cli_models.compare)
app.command()(cli_publish.publish)
app.command()(cli_publish.promote)
app.command()(cli_publish.rollback)
app.command()(cli_publish.serve)
app.command()(cli_publish.log)
app.add_typer(cli_experiment.app, name="experiment")
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_activate.app, name="activate")
app.command()(cli_activate.audience)
app.command()(cli_retention.retention)
app.command()(cli_simulate.simulate)
app.command()(cli_flows.flow)
app.command()(cli_data.doctor)

if __name__ == "__main__":
    app()
