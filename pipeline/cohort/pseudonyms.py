"""Names of subjects and sessions that cannot be traced back to the archive's ids and dates.

For subjects that takes a secret key.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from pipeline.stage.errors import InputError
from pipeline.stage.files import atomic_private_file

KEY_BYTES = 32
DIGITS = 12


def read_key(path: Path) -> bytes:
    """Read the secret key of the pseudonyms; make a random one where there is none.

    Parameters
    ----------
    path
        Text file with at least 32 bytes in hexadecimal digits, readable by its owner only.

    Raises
    ------
    InputError
        If the file holds no such key.
    """
    path = Path(path)
    if not path.exists():
        with atomic_private_file(path) as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise InputError(
            f"pseudonym_key: {path} cannot be read as hexadecimal digits; restore the file, "
            "or remove it to get new subject names"
        ) from error
    if len(key) < KEY_BYTES:
        raise InputError(
            f"pseudonym_key: {path} holds {len(key)} bytes, not {KEY_BYTES} or more; restore the "
            "file, or remove it to get new subject names"
        )
    return key


def pseudonym(key: bytes, patient_id: str) -> str:
    """First 12 hexadecimal digits of HMAC-SHA256 of an id."""
    return hmac.new(key, patient_id.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def film_session(day: int) -> str:
    """Name of a film's session: days since the subject's first film."""
    return f"d{day:04d}"


def pseudonym_uid(key: bytes, uid: str) -> str:
    """UID below 2.25 (PS3.5, B.2) from the first 128 bits of HMAC-SHA256 of a UID."""
    return f"2.25.{int.from_bytes(hmac.new(key, uid.encode(), hashlib.sha256).digest()[:16])}"
