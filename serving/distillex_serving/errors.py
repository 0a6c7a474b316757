"""The errors of serving, as a tree; the commands report them and exit.

::

    ServingError
    ├── PreconditionError     it cannot start here: a port, a file, a package, memory
    ├── ServerError           it did not come up, or died
    └── SignatureError        the gate's signed header with the call's tenant
        ├── ForgedError       nobody signed it who has a secret of this deployment
        └── ExpiredError      it was good once
"""

from __future__ import annotations


class ServingError(Exception):
    """Base of all errors of this package."""


class PreconditionError(ServingError, RuntimeError):
    """The server cannot start here; the message says why and what to do."""


class ServerError(ServingError, RuntimeError):
    """The server did not come up, or died; the message holds the lines of its log that say why."""


class SignatureError(ServingError, ValueError):
    """The signed header of a call is not accepted."""


class ForgedError(SignatureError):
    """A header that nobody signed who has a secret of this deployment."""


class ExpiredError(SignatureError):
    """A header that was good once."""
