"""Harmless evidence for tests: generated pictures, sealed to keys that are made for a test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pyrage import x25519
from redis import Redis

from worker.evidence.item import EvidenceKind, ItemHead, SealedItem, digest_of, new_ref
from worker.evidence.picture import size_of, to_jpeg
from worker.evidence.record import EvidenceRecord
from worker.evidence.sealing import Identity, Recipients, seal
from worker.store.redis_client import shared_functions, with_names


class Pair:
    """A key pair."""

    def __init__(self) -> None:
        self.key = x25519.Identity.generate()
        self.public = str(self.key.to_public())
        self.secret = str(self.key)

    @property
    def identity(self) -> Identity:
        return Identity([self.key])

    @property
    def recipients(self) -> Recipients:
        return Recipients([self.public])


def picture(seed: int = 0, *, width: int = 320, height: int = 180) -> np.ndarray:
    """A generated picture with edges and noise: uint8, (height, width, 3), RGB."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def head_of(jpeg: bytes, **fields: Any) -> ItemHead:
    """The head of a picture."""
    width, height = size_of(jpeg)
    known: dict[str, Any] = {
        "ref": new_ref(),
        "kind": EvidenceKind.HIT,
        "stream_id": "stream-1",
        "segment": "1.0.0.7.abc",
        "pts_seconds": 1.5,
        "capture_ms": 1_700_000_000_000,
        "reason": "keyframe",
        "picture_sha256": digest_of(jpeg),
        "width": width,
        "height": height,
        "rules": ("known",),
        "matches": ({"list": "selftest", "entry": "card", "distance": 2},),
        "scores": {"m/nsfw": 0.25},
        "versions": {"policy": "1"},
    }
    return ItemHead(**(known | fields))


def sealed_item(pair: Pair, seed: int = 0, **fields: Any) -> SealedItem:
    """A sealed picture."""
    jpeg = to_jpeg(picture(seed))
    return seal(head_of(jpeg, **fields), jpeg, pair.recipients)


def recipients_file(path: Path, pairs: Sequence[Pair]) -> Path:
    """A file of public keys."""
    path.write_text("".join(f"{pair.public}\n" for pair in pairs))
    return path


def identity_file(path: Path, pair: Pair) -> Path:
    """A file of a private key, as `age-keygen` writes it."""
    path.touch(0o600)
    path.write_text(f"# public key: {pair.public}\n{pair.secret}\n")
    return path


def _run_shared(redis: Redis, call: str, *args: str) -> None:
    """Runs a function of worker/store/lua/shared, as scripts that promote or evict do."""
    redis.eval(with_names(f"{shared_functions()}\n{call}"), 0, *args)


def promote(redis: Redis, incident: str, *items: SealedItem, **chosen_by: Any) -> None:
    """Gives items to an incident."""
    given = [{"ref": item.ref, "record": EvidenceRecord.of(item, **chosen_by).to_json()} for item in items]
    call = "keep_evidence(ARGV[1], ARGV[2], cjson.decode(ARGV[3]))"
    _run_shared(redis, call, incident, items[0].head.stream_id, json.dumps(given))


def evict(redis: Redis, incident: str, *refs: str) -> None:
    """Takes items from an incident."""
    _run_shared(redis, "drop_evidence(ARGV[1], cjson.decode(ARGV[2]))", incident, json.dumps(refs))
