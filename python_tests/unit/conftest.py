"""The Python side of the module without a server: a native side that lives in the test."""

import pathlib
import sys
import types

import pytest

LIB = pathlib.Path(__file__).parents[2] / "src" / "python" / "lib"


class KeySource:
    """What _interlock.open_keys returns: batches of records, then an empty one."""

    def __init__(self, native, batches):
        self.native = native
        self.batches = iter(batches)
        self.closed = False

    def next(self):
        self.native.batches_read += 1
        return next(self.batches, [])

    def close(self):
        self.closed = True


class Native(types.ModuleType):
    """The module _interlock, answering from what a test put in."""

    class GearsError(Exception):
        pass

    class GearsFlatError(Exception):
        pass

    class GearsForceStopped(BaseException):
        pass

    def __init__(self):
        super().__init__("_interlock")
        self.executions = []
        self.registrations = []
        self.batches = []
        self.batches_read = 0
        self.opened = []
        self.sources = []
        self.commands = []
        self.replies = {}
        self.traceback = True
        self.body = False

    def create_execution(self, plan, reader, description, steps, _apart):
        self.executions.append((plan, reader, description, steps))
        return f"{'0' * 40}-{len(self.executions) - 1}"

    def create_registration(self, plan, reader, description, steps, options):
        self.registrations.append((plan, reader, description, steps, options))
        return f"{'0' * 40}-{len(self.registrations)}"

    def open_keys(self, pattern, no_scan, read_value):
        self.opened.append((pattern, no_scan, read_value))
        source = KeySource(self, self.batches)
        self.sources.append(source)
        return source

    def execute(self, *command):
        self.commands.append(command)
        reply = self.replies[command[0]]
        reply = reply(*command[1:]) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    def attempt_traceback(self):
        return self.traceback

    def in_script_body(self):
        return self.body

    def current_run(self):
        return None

    def enter_run(self, run):
        raise AssertionError("no coroutine runs without a server")

    leave_run = in_atomic = start_loop = enter_run


def load(name, path):
    """The module, with the file's name that the native side gives it."""
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(path.read_text(), f"<{name}>", "exec"), module.__dict__)
    return module


class Gears:
    """A fresh copy of the modules, and short ways to run a builder over given records."""

    def __init__(self, native, pipeline, builder):
        self.native = native
        self.pipeline, self.builder = pipeline, builder
        self.GB = builder.GearsBuilder
        self.Error = native.GearsError

    def run(self, builder, *args, convertToStr=False, **kwargs):
        builder.run(*args, convertToStr=convertToStr, **kwargs)
        return self.pipeline.run_plan(self.native.executions[-1][0])[:2]

    def over(self, records):
        """A builder whose PythonReader yields these records."""

        def reader():
            yield from records

        return self.GB("PythonReader", reader)

    def results(self, builder, *args, **kwargs):
        results, errors = self.run(builder, *args, **kwargs)
        assert errors == []
        return results


@pytest.fixture
def gears():
    parts = ("loop", "waiting", "steps", "pipeline", "registration", "builder")
    names = ("_interlock", *(f"_interlock_{part}" for part in parts))
    saved = {name: sys.modules.get(name) for name in names}
    native = sys.modules["_interlock"] = Native()
    loaded = {part: load(f"_interlock_{part}", LIB / f"{part}.py") for part in parts}
    yield Gears(native, loaded["pipeline"], loaded["builder"])
    for name, module in saved.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module
