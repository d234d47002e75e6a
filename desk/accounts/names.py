"""Names that people give when they make an account."""

from desk.errors import SignInError
from worker.errors import QueueError
from worker.people.actor import check_name


def given_name(name: str) -> str:
    """Returns a valid name.

    Raises:
        SignInError: it is none.
    """
    try:
        return check_name(name)
    except QueueError as error:
        raise SignInError("sign_in.name_refused") from error
