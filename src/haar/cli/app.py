"""`haar`: the commands, each in a module of its own."""

import typer

from haar.cli import backup, demo, doctor, env, invoke, logs, runtimes, start

app = typer.Typer(
    name="haar",
    help="A serverless cloud that you own: Lambda, API Gateway, DynamoDB and IAM on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
start.add_to(app)
env.add_to(app)
demo.add_to(app)
doctor.add_to(app)
backup.add_to(app)
invoke.add_to(app)
logs.add_to(app)
runtimes.add_to(app)


def main() -> None:
    app()
