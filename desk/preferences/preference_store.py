"""Personal settings in the desk's database."""

from desk.database.connection import DeskDatabase
from desk.database.tables import PreferencesRow
from desk.preferences.preferences import Preferences
from worker.people.actor import folded


class PreferenceStore:
    """The personal settings of all."""

    def __init__(self, database: DeskDatabase) -> None:
        self._database = database

    def of(self, name: str) -> Preferences:
        """The settings of a person; the defaults, if they have set none."""
        with self._database.begin() as session:
            row = session.get(PreferencesRow, folded(name))
            return Preferences() if row is None else Preferences.from_json(row.values)

    def save(self, name: str, preferences: Preferences) -> None:
        """Replaces a person's settings."""
        with self._database.begin() as session:
            session.merge(PreferencesRow(account=folded(name), values=preferences.to_json()))
