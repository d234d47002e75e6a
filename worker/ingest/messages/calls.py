"""The calls that platforms may make by message; they run the same functions as the command line."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from config.settings import Settings
from worker.errors import IntakeError, RegistryError
from worker.ingest.messages.envelope import TASKS, PlatformCall
from worker.ingest.registry.changes import Author
from worker.ingest.registry.registration import check_stream_id, register
from worker.ingest.registry.registry import unwatch, watch
from worker.ingest.registry.signals import check_signals, report_signals


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Runs one call. The signatures of its methods are what platforms may pass; the called functions validate."""

    redis: Redis
    settings: Settings
    token: str
    """Identifies the call: repeating it does nothing."""

    def watch_stream(
        self,
        stream_id: Any,
        url: Any = None,
        metadata: Any = None,
        purpose: Any = "live",
        audience: Any = "public",
        risk_prior: Any = 0.0,
    ) -> None:
        """Registers a stream."""
        registration = register(
            stream_id,
            url,
            metadata=metadata,
            purpose=purpose,
            audience=audience,
            risk_prior=risk_prior,
            url_template=self.settings.url_template,
            legal_basis=self.settings.legal_basis,
        )
        watch(self.redis, registration, author=self._author, token=self.token, max_streams=self.settings.max_streams)

    def unwatch_stream(self, stream_id: Any) -> None:
        """Stops watching a stream."""
        unwatch(self.redis, check_stream_id(stream_id), author=self._author, token=self.token)

    def report_signals(self, stream_id: Any, signals: Any) -> None:
        """Stores signals of a watched stream."""
        report_signals(self.redis, check_stream_id(stream_id), check_signals(signals), token=self.token)

    @property
    def _author(self) -> Author:
        return Author(deployment=self.settings.deployment, by="intake")


_METHODS: Final[Mapping[str, Callable[..., None]]] = {
    name: getattr(Receiver, name.removeprefix("livewarden.")) for name in TASKS
}
_SIGNATURES: Final = {name: inspect.signature(method) for name, method in _METHODS.items()}


def make(call: PlatformCall, receiver: Receiver) -> None:
    """Runs the call.

    Raises:
        IntakeError: the arguments do not fit, or the call was refused.
        RedisError, StoreError: Redis failed; the call may have taken effect.
    """
    try:
        bound = _SIGNATURES[call.task].bind(receiver, *call.args, **call.kwargs)
    except TypeError:
        expected = ", ".join(str(one) for one in list(_SIGNATURES[call.task].parameters)[1:])
        raise IntakeError(f"arguments: expected {expected}", "arguments") from None
    try:
        _METHODS[call.task](*bound.args, **bound.kwargs)
    except RegistryError as error:
        raise IntakeError(str(error), "refused") from error
