"""Objects with a secret in them: shown as a mask, never pickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pydantic import SecretStr

if TYPE_CHECKING:
    from typing_extensions import Self


class HoldsSecret:
    """A base for what holds a secret: it cannot be pickled, and a copy of it is itself.

    A pickle would hold the secret in plain text, and so would every cache, queue and child process
    that it goes to.
    """

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"{type(self).__name__} cannot be pickled, because the pickle would hold a secret in "
            "plain text; let the other process read its own settings from the environment instead"
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class Secret(HoldsSecret, SecretStr):
    """A string that shows itself as a mask, and that cannot be pickled.

    `pydantic.SecretStr` hides its value in ``str``, ``repr`` and JSON, but not in a pickle.
    """
