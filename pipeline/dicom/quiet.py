"""How files of DICOM are read: values as they are, and nothing of them in a message."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config

PREAMBLE, DICOM_PREFIX = 128, b"DICM"  # bytes before the prefix of a file, and that
# pydicom quotes the values it complains about, which may be a name or a birth date.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Take header values as they are, without warnings that quote them."""
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pass_on_system_error(error: Exception) -> None:
    """Raise `error` again if the system reported it: the disk failed, not the image."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
