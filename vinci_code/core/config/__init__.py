"""The settings of the application, read from the environment and nowhere else.

``get_settings()`` reads them once; everything that is wrong is reported together in one
``ConfigurationError``, before anything is contacted.

Other rooms import from it:

- ``normalise``: hosts and HTTP paths, as people paste them
- ``placeholders``: values that were never filled in
"""

from vinci_code.core.config.settings import (
    DatabaseSettings,
    Settings,
    get_settings,
    reload_settings,
)
from vinci_code.core.errors import ConfigurationError

__all__ = [
    "ConfigurationError",
    "DatabaseSettings",
    "Settings",
    "get_settings",
    "reload_settings",
]
