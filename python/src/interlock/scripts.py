"""Lua scripts that never meet NOSCRIPT, also on a server without the module."""

from __future__ import annotations

import hashlib
from typing import Any, Optional, Sequence, Union

from redis.exceptions import NoScriptError


class BulletproofScript:
    """A Lua script, called like redis-py's Script.

    By its SHA-1 where an error can be answered by sending the text again; by its text in a pipeline, where it cannot.
    With `pinned=True` (a server with the module and `search.pin-scripts yes`) always by its SHA-1.
    """

    def __init__(self, client: Any, text: Union[str, bytes], *, pinned: bool = False):
        self.client, self.text, self.pinned = client, text, pinned
        body = text if isinstance(text, bytes) else text.encode()
        self.sha = hashlib.sha1(body).hexdigest()
        if pinned:
            client.execute_command("IL.SCRIPT", "PIN", text)

    def __call__(self, keys: Optional[Sequence[Any]] = None, args: Optional[Sequence[Any]] = None, client: Any = None) -> Any:
        client = self.client if client is None else client
        words = [*(keys or ()), *(args or ())]
        count = len(keys or ())
        if self.pinned:
            return client.evalsha(self.sha, count, *words)
        # A pipeline's errors come when it is too late to do something about them.
        if hasattr(client, "command_stack"):
            return client.eval(self.text, count, *words)
        try:
            return client.evalsha(self.sha, count, *words)
        except NoScriptError:
            return client.eval(self.text, count, *words)
