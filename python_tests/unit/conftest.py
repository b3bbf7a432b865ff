"""The Python side of the module without a server: a native side that lives in the test."""

import importlib.util
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

    def create_execution(self, plan, reader, description, steps):
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

    def attempt_traceback(self):
        return self.traceback

    def in_script_body(self):
        return self.body


def redisgears_module(native):
    module = types.ModuleType("redisgears")

    class GearsError(Exception):
        pass

    class GearsFlatError(Exception):
        pass

    class GearsForceStopped(BaseException):
        pass

    def execute(*command):
        native.commands.append(command)
        reply = native.replies[command[0]]
        reply = reply(*command[1:]) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    module.GearsError, module.GearsFlatError = GearsError, GearsFlatError
    module.GearsForceStopped, module.executeCommand = GearsForceStopped, execute
    return module


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Gears:
    """A fresh copy of the modules, and short ways to run a builder over given records."""

    def __init__(self, native, redisgears, pipeline, builder):
        self.native, self.redisgears = native, redisgears
        self.pipeline, self.builder = pipeline, builder
        self.GB = builder.GearsBuilder
        self.Error = redisgears.GearsError

    def run(self, builder, *args, convertToStr=False, **kwargs):
        builder.run(*args, convertToStr=convertToStr, **kwargs)
        return self.pipeline.run_plan(self.native.executions[-1][0])

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
    names = ("_interlock", "redisgears", "_interlock_pipeline", "_interlock_registration", "_interlock_builder")
    saved = {name: sys.modules.get(name) for name in names}
    native = sys.modules["_interlock"] = Native()
    redisgears = sys.modules["redisgears"] = redisgears_module(native)
    pipeline = load("_interlock_pipeline", LIB / "pipeline.py")
    load("_interlock_registration", LIB / "registration.py")
    builder = load("_interlock_builder", LIB / "builder.py")
    yield Gears(native, redisgears, pipeline, builder)
    for name, module in saved.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module
