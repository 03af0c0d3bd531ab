"""Whether an error says that the warehouse is away, and not that something is wrong.

Away is what may be over in a while: it is not found, takes no connection, does not answer, is not
started in time, or its workspace takes no more requests. Whatever it says of the request itself,
of credentials, rights or SQL, and a certificate that is not to be trusted, is an error for whoever
runs the application, and would be hidden by going on without the warehouse.
"""

from __future__ import annotations

import ssl

from vinci_code.database.dialect.dberrors import (
    ConnectionLostError,
    SessionLostError,
    TooManyRequests,
    WarehouseStartTimeout,
)
from vinci_code.database.dialect.driver.translation import chain

_AWAY = (ConnectionLostError, WarehouseStartTimeout, TooManyRequests)
# A handshake that was cut off. Whatever else TLS complains of is about certificates or versions.
_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def is_away(error: BaseException) -> bool:
    """Whether an error, of the dialect or of SQLAlchemy, says that the warehouse is away."""
    original = getattr(error, "orig", None) or error
    if not isinstance(original, _AWAY) or isinstance(original, SessionLostError):
        return False
    causes = (cause for cause in chain(original) if isinstance(cause, ssl.SSLError))
    return all(isinstance(cause, _CUT_OFF) for cause in causes)
