"""Fields of the sections of a policy, for messages about unknown ones."""

from collections.abc import Mapping
from typing import Final

from config.policy.cascade import Stage
from config.policy.evidence import EvidenceLimits
from config.policy.persistence import Persistence
from config.policy.retention import ReportTerm, Retention
from config.policy.risk_settings import DecisionRisk, RiskSettings, ScoreRisk, SignalRisk
from config.policy.rules import CoverageGap, Flood, Rule
from config.policy.sampling import SamplingChoice
from config.profiles import SamplingProfile

SECTION_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "rules": tuple(Rule.model_fields),
    "sampling_for": tuple(SamplingChoice.model_fields),
    "persistence": tuple(Persistence.model_fields),
    "flood": tuple(Flood.model_fields),
    "coverage_gap": tuple(CoverageGap.model_fields),
    "retention": tuple(Retention.model_fields),
    "reports": tuple(ReportTerm.model_fields),
    "evidence": tuple(EvidenceLimits.model_fields),
    "cascade": tuple(Stage.model_fields),
    "profiles": tuple(SamplingProfile.model_fields),
    "risk": tuple(RiskSettings.model_fields),
    "signals": tuple(SignalRisk.model_fields),
    "scores": tuple(ScoreRisk.model_fields),
    "decisions": tuple(DecisionRisk.model_fields),
}
"""By the name of the field that holds them."""
