"""The JSON Schema of the policy file, for editors and other tools; `config/schemas/policy.v1.json` is its text.

`python -m config.policy.schema > config/schemas/policy.v1.json` writes it anew. What a schema cannot say, such as
whether a condition compiles, is told when the policy is loaded.
"""

import json
import sys
from typing import Any

from config.policy.policy import Policy

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    schema = Policy.model_json_schema()
    schema["properties"]["version"] |= {"type": ["string", "number"]}  # YAML takes 1 and 1.5 for numbers
    schema["properties"]["rules"]["minItems"] = 1
    # In a policy a profile says what differs from the built-in one of its name, or from `balanced`.
    schema["$defs"]["SamplingProfile"].pop("required")
    for one in (schema, *schema["$defs"].values()):
        for described in (one, *one.get("properties", {}).values()):
            described.pop("title", None)
            if "description" in described:
                described["description"] = " ".join(described["description"].split())
    return {"$schema": DRAFT, "title": "Livewarden's moderation policy", **schema}


def policy_schema_text() -> str:
    """As it is kept in the repository."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(policy_schema_text())
