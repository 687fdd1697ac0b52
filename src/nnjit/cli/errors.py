"""The one error that the command line turns into one line and exit status 2."""

__all__ = ["UserError"]


class UserError(Exception):
    """Something the user can mend: a file, a column, an option."""
