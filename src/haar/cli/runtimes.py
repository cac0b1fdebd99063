"""`haar runtimes`: which runtime identifiers run here, and on what."""

from typing import Annotated

import typer

from haar.cli.say import complain, say
from haar.execution.images import missing_tools
from haar.execution.runtimes import NODE_MINIMUM, UnknownRuntime, java, resolve

ADD = {
    "nodejs": f"install Node.js {NODE_MINIMUM} or newer where haar finds it on its PATH, then start haar again",
    "python": "run haar itself on that version of Python",
    "ruby": "apt-get install ruby, or have that version of it on haar's PATH, then start haar again",
    "java": "install that version below /usr/lib/jvm (default-jre-headless), run `haar runtimes add java`, start haar again",
}


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(runtimes)
    group.command("add")(add)
    app.add_typer(group, name="runtimes")


def add(runtime: Annotated[str, typer.Argument(help="What to add: java.")]) -> None:
    """Fetches what a runtime needs besides its interpreter: AWS's runtime client for Java, with Maven, checked by its hash."""
    if runtime != "java":
        raise complain(f"there is nothing to add for {runtime}: only java needs more than its interpreter")
    try:
        java.add()
    except java.NotFetched as error:
        raise complain(f"the runtime client for Java: {error}") from None
    say(f"the runtime client for Java is in {java.JARS}; start haar again")


def runtimes(context: typer.Context) -> None:
    """Lists the runtimes of functions: those that are here, what stands in for another version, and how to add what is not."""
    from haar.services.lambda_.checks import runtimes as identifiers  # all of haar: only here

    if context.invoked_subcommand is not None:
        return
    missing: list[str] = []
    replaced: set[str] = set()
    for identifier in sorted(identifiers(), key=_order):
        try:
            found = resolve(identifier)
        except UnknownRuntime:
            missing.append(identifier)
            continue
        if found.exact:
            say(f"{identifier:18} {'its own bootstrap' if found.kind == 'provided' else f'{found.kind} {found.version}'}")
        else:
            replaced.add(identifier.rstrip("0123456789.x-edg"))
            say(f"{identifier:18} stands in: {found.note.partition(' runs on ')[2]}")
    if missing:
        say(f"\nnot here: {', '.join(missing)}")
        say("bring their interpreter in the package with a bootstrap, as provided.al2023")
    tools = missing_tools()
    say(f"container images   {'need ' + ' and '.join(tools) + ': apt-get install ' + ' '.join(tools) if tools else 'run as they are'}")
    for kind, how in ADD.items():
        if kind in replaced or any(identifier.startswith(kind) for identifier in missing):
            say(f"for the exact version of {kind}: {how}")


def _order(identifier: str) -> tuple[str, list[int]]:
    name = identifier.rstrip("0123456789.x-edg")
    numbers = [int(part) for part in identifier.removeprefix(name).replace("x", "").replace("-", ".").split(".") if part.isdigit()]
    return name, numbers
