"""docker-compose.yml as a text: what it hands on."""

import re
from pathlib import Path

import yaml

from config.environment import load_settings
from config.settings import PREFIX, Settings

COMPOSE = yaml.safe_load((Path(__file__).parents[1] / "docker-compose.yml").read_text())
_DEFAULT = re.compile(r"\$\{\w+:?-([^}]*)\}")


def test_every_setting_reaches_the_processes_and_may_be_left_out() -> None:
    """An operator would set a variable in .env, and nothing would come of it; or none, and nothing would start."""
    handed_on = COMPOSE["x-as-worker"]
    assert {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} - {*handed_on} == set()
    unset = {name: _DEFAULT.sub(r"\1", value) for name, value in handed_on.items()}
    settings = load_settings({**unset, "LIVEWARDEN_REDIS_PASSWORD_FILE": "", "LIVEWARDEN_REDIS_USERNAME": ""})
    assert settings.rendition_height_pixels == Settings().rendition_height_pixels
    assert settings.require_confinement
