"""YAML as it is read here: without what surprises people, and bounded by work, whatever the file says."""

from typing import Any, Final

import yaml

from config.documents.names import shortened

MAX_TOKENS: Final = 40_000
"""Of a file that workers read: brackets, commas, keys and values. PyYAML takes 7 µs for one, and the policy that ships
has 600."""

MAX_BYTES: Final = 256 * 1024
"""Of such a file. PyYAML takes 0.7 µs for a character, comments too."""

MAX_DEPTH: Final = 100
"""Of values in one another. People write less than a tenth of that."""

MAX_NUMBER_CHARACTERS: Final = 100
"""Of a number: PyYAML's time for `1:1:1…`, of base 60, grows with the square of them."""


class Loader(yaml.SafeLoader):
    """YAML without repeated keys, of which the last would win silently, and without dates: versions look like them."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base class has it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str, *, max_tokens: int | None = None) -> None:
        """`max_tokens`: what the file may have of them; None: any number."""
        self._max_tokens = max_tokens
        self._tokens = 0
        self._depth = 0
        super().__init__(text)

    def fetch_more_tokens(self) -> Any:
        self._tokens += 1
        if self._max_tokens is not None and self._tokens > self._max_tokens:
            problem = f"over {self._max_tokens:,} keys, values and brackets"
            raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())
        return super().fetch_more_tokens()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuses aliases: ten lines of them can stand for 10^9 values, and one can stand for what it is in."""
        self._depth += 1
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            problem = f"*{shortened(event.anchor)} is an alias: write its value out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        if self._depth > MAX_DEPTH:
            problem = f"values nested deeper than {MAX_DEPTH}"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What PyYAML takes for impossible (`!!bool x`, `!!int ''`) is a mistake in the file, like any other."""
        if node.tag in _NUMBERS and isinstance(node, yaml.ScalarNode) and len(node.value) > MAX_NUMBER_CHARACTERS:
            problem = f"a number of {len(node.value):,} characters"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problem = f"a value that does not fit {node.tag.rpartition(':')[2]!r}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
