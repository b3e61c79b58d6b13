"""Being written."""


def register(app: object) -> None:
    """Add the command."""
