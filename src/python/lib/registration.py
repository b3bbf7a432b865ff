"""What may a script say of a registration? The options of register(), checked and as plain data for the native side."""

import _interlock
from _interlock import GearsError

#: The options of every reader that has registrations.
COMMON = ("regex", "mode", "onRegistered", "onUnregistered")

#: Those of one reader.
OPTIONS = {
    "KeysReader": ("eventTypes", "keyTypes", "commands", "readValue", "noScan"),
    "StreamReader": ("batch", "duration", "onFailedPolicy", "onFailedRetryInterval", "trimStream"),
    "CommandReader": ("trigger", "inorder", "hook", "keyprefix"),
}

#: Where an execution that nobody's event starts can run.
BACKGROUND = ("async", "async_local")

MODES = (*BACKGROUND, "sync")

KEY_TYPES = ("empty", "string", "list", "hash", "set", "zset", "module", "stream")

Function = type(lambda: 0)


def check_mode(mode, modes):
    """Refuses what is not one of these modes."""
    if not isinstance(mode, str):
        raise GearsError("execution mode must be a string")
    if mode not in modes:
        raise GearsError("unknown execution mode")


def refuse_unknown(call, reader, options, known):
    """Names every option that the reader does not know: a misspelt one must not pass in silence."""
    unknown = sorted(name for name in options if name not in known)
    if unknown:
        names = ", ".join(repr(name) for name in unknown)
        takes = "takes " + ", ".join(known) if known else "takes no options"
        plural = "s" if len(unknown) > 1 else ""
        raise TypeError(f"{call}() got unexpected keyword argument{plural} {names} ({reader} {takes})")


def checked(reader, prefix, options):
    """The prefix, the options that the plan keeps, and what the native side must know."""
    if reader not in OPTIONS:
        raise GearsError("given reader does not exists or does not support register")
    refuse_unknown("register", reader, options, OPTIONS[reader] + COMMON)
    if "regex" in options:
        _interlock.log("warning", "the argument 'regex' of register() is deprecated, use 'prefix'")
        prefix = options["regex"]
    if not isinstance(prefix, str):
        raise GearsError("regex argument must be a string")
    mode = options.get("mode", "async")
    check_mode(mode, MODES)
    if mode == "sync" and reader == "StreamReader" and failure_policy(options) != "continue":
        raise GearsError("ExecutionMode sync can only be combined with OnFailedPolicy Continue")
    callbacks = {}
    for name in ("onRegistered", "onUnregistered"):
        function = options.get(name)
        if function is not None:
            if type(function) is not Function:
                raise GearsError(f"{name[0].upper()}{name[1:]} argument must be a function")
            callbacks[name] = function
    return prefix, callbacks, {"mode": mode, "callbacks": list(callbacks), **CHECKS[reader](options)}


def check_keys(options):
    """The options of a KeysReader."""
    known = {}
    events = texts(options, "eventTypes", "event type")
    if events is not None:
        known["eventTypes"] = [event.lower() for event in events]
    kinds = texts(options, "keyTypes", "key type")
    if kinds is not None:
        if any(kind not in KEY_TYPES for kind in kinds):
            raise GearsError("unknown key type")
        known["keyTypes"] = kinds
    commands = texts(options, "commands", "command type")
    if commands:
        known["commands"] = [command.lower() for command in commands]
    known["readValue"] = flag(options, "readValue", True, "readValue is not boolean")
    known["noScan"] = flag(options, "noScan", False, "noScan is not boolean")
    return known


def check_stream(options):
    """The options of a StreamReader."""
    batch = number(options, "batch", 1, "batch argument must be a number")
    if batch < 1:
        raise GearsError(f"batch argument must be at least 1, not {batch}")
    duration = number(options, "duration", 0, "duration argument must be a number")
    retry = number(options, "onFailedRetryInterval", 1, "retryInterval argument must be a number", (int, float))
    for name, value in (("duration", duration), ("retryInterval", retry)):
        if not 0 <= value < 10**12:
            raise GearsError(f"{name} argument must be from 0 to 10^12, not {value}")
    return {
        "batch": batch,
        "duration": duration,
        "onFailedPolicy": failure_policy(options),
        "retryMillis": int(retry * 1000),
        "trimStream": flag(options, "trimStream", True, "pyTrimmStream argument must be a boolean"),
    }


def failure_policy(options):
    """What a failure means, in lower case."""
    policy = options.get("onFailedPolicy", "continue")
    if not isinstance(policy, str):
        raise GearsError("onFailedPolicy must be a string (Continue/Abort/Retry)")
    if policy.lower() not in ("continue", "abort", "retry"):
        raise GearsError("onFailedPolicy must be Continue/Abort/Retry")
    return policy.lower()


def check_command(options):
    """The options of a CommandReader."""
    trigger, hook, prefix = (options.get(name) for name in ("trigger", "hook", "keyprefix"))
    for name, value in (("trigger", trigger), ("keyprefix", prefix), ("hook", hook)):
        if value is not None and not isinstance(value, str):
            raise GearsError(f"{name} argument is not string")
    known = {"inorder": flag(options, "inorder", False, "inorder argument is be boolean")}
    if trigger is not None:
        if hook is not None or prefix is not None:
            raise GearsError("trigger argument can not be given with keyprefix or hook")
        return {"trigger": trigger, **known}
    if hook is None:
        raise GearsError("no trigger or hook argument was given")
    # Lists, since they may be missing.
    if prefix is not None:
        known["keyprefix"] = [prefix]
    return {"hook": [hook.lower()], **known}


CHECKS = {"KeysReader": check_keys, "StreamReader": check_stream, "CommandReader": check_command}


def texts(options, name, one):
    """A list of texts, or None."""
    values = options.get(name)
    if values is None:
        return None
    many = f"{name[0].lower()}{name[1:]}"
    try:
        values = list(values)
    except TypeError:
        raise GearsError(f"given {many} is not iterable") from None
    if not all(isinstance(value, str) for value in values):
        raise GearsError(f"given {one} is not string")
    return values


def number(options, name, default, refusal, kinds=int):
    """A number."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise GearsError(refusal)
    return value


def flag(options, name, default, refusal):
    """A boolean option."""
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise GearsError(refusal)
    return value


def described(_reader, prefix, known):
    """Names and values one after the other, texts as bytes: a text could be read as a status or an error."""
    flat = [b"prefix", raw(prefix)]
    for name, value in known.items():
        flat.append(name.encode())
        if isinstance(value, str):
            value = raw(value)
        elif isinstance(value, list):
            value = [raw(item) for item in value]
        flat.append(value)
    return flat


def raw(text):
    """The bytes of a text; what was not UTF-8 is what it was."""
    return text.encode("utf-8", "surrogateescape")
