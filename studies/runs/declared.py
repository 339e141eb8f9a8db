"""A study in a TOML file: which questions are asked, with the options that the command has for them.

    title = "Second order at small budgets"

    [[study]]
    verb = "compare"
    methods = ["heun", "unipc(order=3)"]
    targets = ["easy-1d", "points.npy"]
    nfe = [5, 10, 20]

Names are those of the options, in the plural where the command repeats them, and the same as in Python. Files in it are
looked for from the folder that the command is run in.
"""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from analytic.names import unknown

from ..cli import ASKING, function_of
from ..study import Study

CATALOG = Path(__file__).parent.parent / "catalog"
TOP = ("title", "about", "load", "study")
WANTED = {
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "string_type": "give a string",
    "list_type": "give a list, as in [1, 2]",
    "bool_type": "give true or false",
}


@dataclass(frozen=True)
class Ask:
    """A question: a verb of the command, and its options by name."""

    verb: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """What a file declares.

    Attributes
    ----------
    asks : sequence of Ask
    title, about : str
        For a reader.
    load : sequence of str
        Python files or modules that register methods.
    source : str
        The file, for messages.
    """

    asks: Sequence[Ask]
    title: str = ""
    about: str = ""
    load: Sequence[str] = ()
    source: str = ""

    def studies(self) -> list[Study[Any]]:
        """Build the studies.

        Raises ValueError for what a verb refuses, with the file and the table.
        """
        from ..specifications import load_methods

        found: list[Study[Any]] = []
        try:
            for source in self.load:
                load_methods(source)
        except ValueError as problem:
            raise ValueError(f"{self.source}: {problem}") from None
        for place, ask in enumerate(self.asks):
            try:
                built = built_by(ask)
            except (ValueError, TypeError) as problem:
                raise ValueError(f"{self._where(place)}: {problem}") from None
            found += [built] if not isinstance(built, list) else built
        return found

    def _where(self, place: int) -> str:
        return f"{self.source}, study[{place + 1}] ({self.asks[place].verb})"

    def text(self) -> str:
        """Return the file that declares the same."""
        lines = [
            f"{name} = {_toml(getattr(self, name))}"
            for name in ("title", "about", "load")
            if getattr(self, name)
        ]
        for ask in self.asks:
            lines += ["", "[[study]]", f"verb = {_toml(ask.verb)}"]
            lines += [f"{name} = {_toml(value)}" for name, value in ask.options.items()]
        return "\n".join(lines).lstrip("\n") + "\n"


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def built_by(ask: Ask) -> Any:
    """Return the study, or the studies, that a verb makes of options."""
    build = inspect.unwrap(function_of(ask.verb))
    parameters = inspect.signature(build).parameters
    defaults = {name: None if p.default is p.empty else p.default for name, p in parameters.items()}
    return build(**(defaults | dict(ask.options)))


def options_of(verb: str) -> dict[str, Any]:
    """Return the options that a verb takes in a file, with their types."""
    build = inspect.unwrap(function_of(verb))
    found = {}
    for name, parameter in inspect.signature(build, eval_str=True).parameters.items():
        if get_origin(parameter.annotation) is not None and hasattr(parameter.annotation, "__metadata__"):
            found[name] = get_args(parameter.annotation)[0]
    return found


def read(name: str) -> Declared:
    """Read a study's file, or one of those in `studies/catalog` by its name.

    Raises ValueError for a file that is missing or declares what cannot be; the message names the file and the key.
    """
    file = Path(name)
    if file.suffix != ".toml":
        known = sorted(entry.stem for entry in CATALOG.glob("*.toml"))
        if name not in known:
            raise unknown("study", name, known, "a file ends in .toml")
        file = CATALOG / f"{name}.toml"
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"study is '{name}', which cannot be read ({problem}): give a TOML file") from None
    return parsed(text, file.name if file.parent == CATALOG else str(file))


def parsed(text: str, source: str) -> Declared:
    """Read what the text of a file declares, see `read`."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"{source} is no TOML: {problem}") from None
    if "verb" in content and "study" not in content:  # one study, without a table of its own
        top = {name: value for name, value in content.items() if name in TOP}
        content = top | {"study": [{name: value for name, value in content.items() if name not in TOP}]}
    for key in content:
        if key not in TOP:
            raise ValueError(f"{source}: {unknown('key', key, TOP)}")
    tables = content.get("study")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f'{source} declares no study: begin one with [[study]], and in it verb = "compare"')
    texts = {name: _checked(content.get(name, ""), str, f"{source}: {name}") for name in ("title", "about")}
    load = _checked(content.get("load", []), list[str], f"{source}: load")
    asks = [asked(table, f"{source}: study[{place + 1}]") for place, table in enumerate(tables)]
    return Declared(asks, texts["title"], texts["about"], load, source)


def asked(table: Mapping[str, Any], where: str) -> Ask:
    """Return the question of a table; ValueError for one that is none, with its place."""
    if "verb" not in table:
        raise ValueError(f"{where} has no verb: add one of {', '.join(ASKING)}")
    verb = _checked(table["verb"], str, f"{where}.verb")
    if verb not in ASKING:
        raise ValueError(f"{where}: {unknown('verb', verb, ASKING)}")
    kinds = options_of(verb)
    options = {}
    for key, value in table.items():
        if key == "verb":
            continue
        if key not in kinds:
            raise ValueError(f"{where}: {unknown('key', key, kinds)}")
        options[key] = _checked(value, kinds[key], f"{where}.{key}")
    build = inspect.unwrap(function_of(verb))
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise ValueError(f"{where} has no {name}, which {verb} needs: add it")
    return Ask(verb, options)


def _checked(value: Any, kind: Any, where: str) -> Any:
    """Return a value of a kind; ValueError with the key where it is of another."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = "".join(f"[{part + 1}]" for part in first["loc"] if isinstance(part, int))
        remedy = WANTED.get(first["type"], first["msg"])
        raise ValueError(f"{where}{place} is {first['input']!r}: {remedy}") from None
