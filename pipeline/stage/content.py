"""What an image shows, whatever its file is called: by this, copies are found."""

import hashlib

import numpy as np

# Of a link or pointer to content that stands elsewhere.
NOT_HERE = "its content is not here; fetch it (datalad get, git lfs pull)"


def content_hash(image: np.ndarray) -> str:
    """Hash of grey values: images of one shape and the same values have one hash.

    Parameters
    ----------
    image
        Array of any shape; those that are compared must be of one type.
    """
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    # Volumes lie in memory by Fortran's order; to turn them takes longer than to hash them.
    digest.update(np.asfortranarray(image).T)
    return digest.hexdigest()
