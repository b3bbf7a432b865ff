"""Where does the time of a script's executions go? A profile of its functions, kept with its globals.

Collected while ProfileExecutions is on, for what runs on a worker or inline; not for coroutines, whose steps are too many
and too short.
"""

import _interlock_pipeline as pipeline

#: Under which name the globals of a script hold its profile.
NAME = "__profile__"


class Profile:
    """The profile of one script: one execution at a time adds to it."""

    def __init__(self):
        from cProfile import Profile

        self.collected = Profile()
        self._free = [None]

    def run(self, plan, event):
        """Runs a plan, profiled if nothing else is."""
        try:
            self._free.pop()
        except IndexError:
            return pipeline.run_plan(plan, event, timed=True)
        try:
            try:
                self.collected.enable()
            except ValueError:
                # A profiler of the script's own.
                return pipeline.run_plan(plan, event, timed=True)
            try:
                return pipeline.run_plan(plan, event, timed=True)
            finally:
                self.collected.disable()
        finally:
            self._free.append(None)


def run_profiled(namespace, plan, event=None):
    """As run_plan, with the time of each function added to the script's profile."""
    profile = namespace.get(NAME)
    if profile is None:
        profile = namespace.setdefault(NAME, Profile())
    return profile.run(plan, event)


def profile_text(namespace, order):
    """The profile of a script as text, or None if there is none; an empty order forgets it."""
    profile = namespace.pop(NAME, None) if not order else namespace.get(NAME)
    if profile is None or not order:
        return None
    import io
    import pstats

    known = pstats.Stats.sort_arg_dict_default
    if order not in known:
        pipeline.fail(f"ERR unknown order {order!r}: expected one of {', '.join(sorted(known))}")
    stream = io.StringIO()
    try:
        stats = pstats.Stats(profile.collected, stream=stream)
    except TypeError:
        # Nothing was called yet.
        return None
    stats.sort_stats(order).print_stats()
    stats.print_callers()
    stats.print_callees()
    return stream.getvalue()
