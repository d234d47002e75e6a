"""One process, one core: workers are scaled by processes, and what is measured as CPU must be all of it."""

from collections.abc import MutableMapping

BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def keep_numpy_to_one_thread(environment: MutableMapping[str, str]) -> None:
    """Sets what NumPy's BLAS reads when it is first imported, so call this before; what an operator has set stays.

    PDQ's matrix products are small: on two threads they took the same time and twice the CPU.
    """
    for variable in BLAS_VARIABLES:
        environment.setdefault(variable, "1")
