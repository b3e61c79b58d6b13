"""The one exception for work that its person has ended."""


class StoppedError(Exception):
    """The person does not want to wait."""
