"""Adding and removing the members' endpoints in a configuration file, everything else kept.

The members' keys are looked at elsewhere: a file is right here if its words are.
"""

from __future__ import annotations

from collections.abc import Sequence

import tomlkit
from tomlkit.items import Array, Table

from flocksy.config import document, formats, original
from flocksy.config.load import config_path, is_all_said, load_words
from flocksy.config.settings import Options
from flocksy.errors import ConfigError
from flocksy.keys.endpoints import normal_endpoint


def change_nodes(options: Options, more: Sequence[str], fewer: Sequence[str]) -> tuple[str, ...]:
    """Make the file of `options` name the endpoints in `more` as nodes, and not those in `fewer`.

    Returns what people should know of what could not be done: endpoints of `fewer` that the
    command line names, and where there is no file what it has to name. Raises `ConfigError`, and
    the file is as it was.
    """
    if is_all_said(options):
        return _start_with(load_words(options).nodes, more, fewer)
    path = config_path(options)
    text = document.read_text(path)
    bare = Options(config=options.config)
    named = load_words(bare, text).nodes
    missing = [endpoint for endpoint in more if endpoint not in load_words(options, text).nodes]
    gone = {endpoint for endpoint in fewer if endpoint in named and endpoint not in more}
    if missing or gone:
        change = _toml if formats.format_of(text) == "toml" else _original
        new = change(text, missing, gone)
        load_words(bare, new)
        document.replace_text(path, new, text)
    return tuple(
        f"{endpoint} is a node on the command line too: start without it"
        for endpoint in fewer
        if endpoint in load_words(options).nodes and endpoint not in more
    )


def _start_with(named: Sequence[str], more: Sequence[str], fewer: Sequence[str]) -> tuple[str, ...]:
    """What the command line has to say from now on, and what not."""
    return (
        *(
            f"{one} is no node yet: start with --node {_short(one)}"
            for one in more
            if one not in named
        ),
        *(
            f"{one} is a node on the command line: start without it"
            for one in fewer
            if one in named and one not in more
        ),
    )


def _short(endpoint: str) -> str:
    return endpoint.removeprefix("tcp://")


def _is_one_of(value: object, endpoints: set[str]) -> bool:
    try:
        return normal_endpoint(str(value)) in endpoints
    except ValueError:
        return False


def _toml(text: str, missing: Sequence[str], gone: set[str]) -> str:
    root = tomlkit.parse(text)
    program = root.get("program")
    tables = [root, program] if isinstance(program, Table) else [root]
    for table in tables:
        nodes = table.get("node")
        if isinstance(nodes, str):
            table["node"] = tomlkit.array()
            if not _is_one_of(nodes, gone):
                table["node"].append(nodes)
        elif isinstance(nodes, Array):
            for index in reversed(range(len(nodes))):
                if _is_one_of(nodes[index], gone):
                    del nodes[index]
    home = next((table for table in reversed(tables) if "node" in table), None)
    if home is None and missing:
        home = next((table for table in reversed(tables) if "hostname" in table), root)
        if home is root:
            _put_before_tables(root)
        else:
            home["node"] = tomlkit.array()
    if home is not None:
        nodes = home["node"]
        if not isinstance(nodes, Array):
            raise ConfigError("node is neither a text nor a list; mend the configuration")
        for endpoint in missing:
            nodes.append(_short(endpoint))
    return tomlkit.dumps(root)


def _put_before_tables(root: tomlkit.TOMLDocument) -> None:
    """An empty `node` among the plain values: after a table's header it would be the table's."""
    plain = [key for key, value in root.items() if not isinstance(value, Table)]
    if plain:
        # tomlkit appends plain values after the last plain one, before all tables.
        root.append("node", tomlkit.array())
        return
    tables = list(root.items())
    for key, _ in tables:
        del root[key]
    root["node"] = tomlkit.array()
    for key, value in tables:
        root[key] = value


def _original(text: str, missing: Sequence[str], gone: set[str]) -> str:
    kept: list[str] = []
    place = 0
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        line = original.without_comment(lines[index])
        header = original.header(line)
        if header not in (None, original.PROGRAM):
            end = original.block_lines(lines, index)
            kept += lines[index:end]
            index = end
            continue
        key, mark, value = line.partition("=")
        if not (mark and key.strip() == "node" and _is_one_of(value.strip(), gone)):
            kept.append(lines[index])
            if header is not None or (mark and key.strip() in ("node", "hostname")):
                place = len(kept)
        index += 1
    added = [f"node = {_short(endpoint)}" for endpoint in missing]
    return "\n".join([*kept[:place], *added, *kept[place:]])
