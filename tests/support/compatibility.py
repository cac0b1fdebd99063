"""docs/compatibility.md, made from the operation registry: `make docs` writes it, a test holds it to what is registered."""

from pathlib import Path

from botocore.loaders import Loader

from haar.services.registry import services

FILE = Path(__file__).parents[2] / "docs" / "compatibility.md"
HEAD = """# What haar has of each service

Made by `make docs` from the operations that are registered; a test holds this page to them. An operation that is not here answers with an
error that names it.
"""


def render() -> str:
    loader = Loader()
    parts = [HEAD]
    for service in sorted(services(), key=lambda service: service.name):
        model = loader.load_service_model(service.name, "service-2")
        everything = sorted(model["operations"])
        there = [name for name in everything if name in service.operations]
        missing = [name for name in everything if name not in service.operations]
        parts.append(f"\n## {model['metadata']['serviceFullName']}: {len(there)} of {len(everything)}\n")
        parts.append(", ".join(there) + ".\n" if there else "Nothing.\n")
        if missing:
            parts.append(f"\nNot here: {', '.join(missing)}.\n")
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(render())
