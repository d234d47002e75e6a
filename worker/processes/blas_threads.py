"""Keeps a process to one core: workers scale by processes, and CPU measurements must cover all work."""

from collections.abc import MutableMapping

BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def keep_numpy_to_one_thread(environment: MutableMapping[str, str]) -> None:
    """Sets the variables that NumPy's BLAS reads at its first import, so it must be called before; values that an
    operator has set stay.

    PDQ's matrix products are small: on two threads they took the same time and twice the CPU.
    """
    for variable in BLAS_VARIABLES:
        environment.setdefault(variable, "1")
