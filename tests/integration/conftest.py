"""A real Slurm for the tests that submit jobs."""

import pytest
from helpers.slurm import missing_programs, running_slurm


@pytest.fixture(scope="session")
def slurm():
    """Slurm on this machine, for all tests of the session."""
    if missing := missing_programs():
        pytest.skip(f"needs the packages slurm-wlm and munge ({', '.join(missing)} not found)")
    with running_slurm() as folder:
        yield folder
