"""Libraries of Python functions inside the server, typed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Function:
    """A function that a library declares."""

    name: str
    description: Optional[str]
    readonly: bool
    mode: str


@dataclass(frozen=True)
class Library:
    """A library that is loaded; `code` if it was asked for."""

    name: str
    isolation: str
    loaded: bool
    functions: list[Function]
    code: Optional[bytes]


def function_load(client: Any, script: Union[str, bytes], *, replace: bool = False) -> str:
    """Loads a library, whose first line is `#!python name=<library>`; its name."""
    return text(client.execute_command("RG.FUNCTION", "LOAD", *(["REPLACE"] if replace else []), script))


def fcall(
    client: Any,
    function: Union[str, bytes],
    keys: Iterable[Any] = (),
    args: Iterable[Any] = (),
    *,
    read_only: bool = False,
) -> Any:
    """Calls a function with RG.FCALL, or with `read_only` RG.FCALL_RO; what it returned, as the protocol has it."""
    keys = list(keys)
    return client.execute_command("RG.FCALL_RO" if read_only else "RG.FCALL", function, len(keys), *keys, *args)


def function_list(client: Any, pattern: Optional[str] = None, *, with_code: bool = False) -> list[Library]:
    """The libraries whose names match, by name."""
    words = (["LIBRARYNAME", pattern] if pattern is not None else []) + (["WITHCODE"] if with_code else [])
    found = []
    for entry in client.execute_command("RG.FUNCTION", "LIST", *words):
        library = mapping(entry)
        functions = [
            Function(
                name=text(function["name"]),
                description=None if function["description"] is None else text(function["description"]),
                readonly="no-writes" in {text(flag) for flag in function["flags"]},
                mode=text(function["mode"]),
            )
            for function in map(mapping, library["functions"])
        ]
        found.append(
            Library(
                name=text(library["library_name"]),
                isolation=text(library["isolation"]),
                loaded=bool(library["loaded"]),
                functions=functions,
                code=library.get("library_code"),
            )
        )
    return found


def function_delete(client: Any, library: Union[str, bytes]) -> None:
    """Removes a library."""
    client.execute_command("RG.FUNCTION", "DELETE", library)


def function_dump(client: Any) -> bytes:
    """All libraries as one string, for a client that does not decode replies."""
    return client.execute_command("RG.FUNCTION", "DUMP")


def function_restore(client: Any, payload: bytes, policy: str = "APPEND") -> None:
    """Loads what function_dump returned; `policy` is APPEND, REPLACE or FLUSH."""
    client.execute_command("RG.FUNCTION", "RESTORE", payload, policy)


def text(value: Any) -> str:
    """A reply as text, whether the client decodes replies or not."""
    return value.decode() if isinstance(value, bytes) else value


def mapping(reply: Any) -> dict[str, Any]:
    """A map, which is a flat list in RESP2."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2])
    return {text(name): value for name, value in pairs}
