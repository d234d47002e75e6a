"""Classifiers: model packages, their manifests and weights, and scores of pictures."""

import os
from typing import Final

TELEMETRY_OFF: Final = {"ORT_DISABLE_TELEMETRY": "1"}
"""ONNX Runtime 1.29 and later sends sessions, models and errors to its maker, and keeps an identifier of the device and
a database in the user's cache, unless this is set before its first import (its pull request 27379). Set here, before
any module of this package imports it, whoever does: nothing about a deployment leaves it, and Livewarden fetches and
sends nothing but what it was asked to watch."""

os.environ.update(TELEMETRY_OFF)
