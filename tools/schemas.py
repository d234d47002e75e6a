"""The JSON Schemas of the policy file and of model manifests: `python -m tools.schemas` writes them.

A schema cannot express all checks: whether a condition compiles is checked when the policy is loaded.
"""

import json
from pathlib import Path
from typing import Any

from config.policy.policy import Policy
from models.classifiers.manifest import Manifest

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """The schema of a policy."""
    schema = Policy.model_json_schema()
    schema["properties"]["version"] |= {"type": ["string", "number"]}  # YAML takes 1 and 1.5 for numbers
    schema["properties"]["rules"]["minItems"] = 1
    # A profile of a policy has the fields that differ from the built-in one of its name, or from `balanced`.
    schema["$defs"]["SamplingProfile"].pop("required")
    # Likewise a part of the risk that is built in.
    for name in ("SignalRisk", "ScoreRisk", "DecisionRisk"):
        schema["$defs"][name].pop("required")
    for one in (schema, *schema["$defs"].values()):
        for described in (one, *one.get("properties", {}).values()):
            described.pop("title", None)
            if "description" in described:
                described["description"] = " ".join(described["description"].split())
    return {"$schema": DRAFT, "title": "Livewarden's moderation policy", **schema}


def manifest_schema() -> dict[str, Any]:
    """The schema of a manifest."""
    return {"$schema": DRAFT, **Manifest.model_json_schema()}


def texts() -> dict[str, str]:
    """File of the repository -> its text."""
    schemas = {"config/schemas/policy.v1.json": policy_schema(), "models/manifest.v1.schema.json": manifest_schema()}
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in schemas.items()}


if __name__ == "__main__":
    for path, text in texts().items():
        Path(path).write_text(text)
