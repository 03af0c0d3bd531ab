"""A secret as an object: shown as a mask, never pickled."""

from __future__ import annotations

from typing import NoReturn

from pydantic import SecretStr


class Secret(SecretStr):
    """A string that shows itself as a mask, and that cannot be pickled.

    `pydantic.SecretStr` hides its value in ``str``, ``repr`` and JSON; a pickle of it holds the
    plain value, and so would every cache, queue and child process that the pickle goes to.
    """

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: Always; a pickle would hold the secret in plain text.
        """
        raise TypeError(
            "a Secret cannot be pickled, because the pickle would hold it in plain text; let the "
            "other process read its own settings from the environment instead"
        )

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self
