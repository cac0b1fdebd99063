"""`haar runtimes`: which runtime identifiers run here, and on what."""

import typer

from haar.cli.say import say
from haar.execution.images import missing_tools
from haar.execution.runtimes import NODE_MINIMUM, UnknownRuntime, resolve
from haar.services.lambda_.checks import runtimes as identifiers

ADD = {
    "nodejs": f"install Node.js {NODE_MINIMUM} or newer where haar finds it on its PATH, then start haar again",
    "python": "run haar itself on that version of Python",
}


def add_to(app: typer.Typer) -> None:
    app.command("runtimes")(runtimes)


def runtimes() -> None:
    """Lists the runtimes of functions: those that are here, what stands in for another version, and how to add what is not."""
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
