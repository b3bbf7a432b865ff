"""Many clients that block at once, in one process: run by test_crowd.py, because gevent changes the whole process.

    crowd.py gevent|asyncio PORT CONNECTIONS

Every client has a connection of its own and blocks in a command of the module while one more task
writes down the time every 0.2 s. Prints one JSON object: how long it took, the longest gap in the log, how
many threads the process had, and how many answers were right.
"""

import json
import sys
import time

KIND, PORT, CONNECTIONS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if KIND == "gevent":
    from gevent import monkey

    monkey.patch_all()

import redis  # noqa: E402

EVERY = 0.2
SLOW = "import time\ntime.sleep(0.3)\nexecute('SET', 'slow', 'x')"


def command(number):
    """What client `number` asks, and whether an answer is right."""
    kind = number % 4
    if kind == 0:
        # Nobody gives this one up: the answer is null after a second.
        return ("IL.LOCK", "held", f"owner {number}", "WAIT", 1000), lambda reply: reply is None
    if kind == 1:
        return ("IL.ONCE", "value", "WAIT", 20_000, "NOCOMPUTE"), lambda reply: reply == [b"ready", b"v"]
    if kind == 2:
        return ("IL.LOCK", f"own {number}", "me", "WAIT", 1000), lambda reply: reply[1] == 1
    return ("RG.PYEXECUTE", SLOW, "ISOLATION", "shared"), lambda reply: reply == b"OK"


def report(started, ticks, right):
    gaps = [b - a for a, b in zip(ticks, ticks[1:])]
    print(json.dumps({"seconds": time.monotonic() - started, "gap": max(gaps), "threads": threads(), "right": right}))


def threads():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def publish_words(reply):
    assert reply[0] == b"compute", reply
    return ("IL.PUBLISH", "value", reply[1], "v")


def with_gevent():
    import gevent

    ticks, right = [], []

    def log():
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(EVERY)

    def ask(number):
        client = redis.Redis(port=PORT, socket_timeout=60)
        words, good = command(number)
        right.append(good(client.execute_command(*words)))

    main = redis.Redis(port=PORT)
    main.execute_command("IL.LOCK", "held", "somebody")
    token = main.execute_command("IL.ONCE", "value")
    started = time.monotonic()
    logger = gevent.spawn(log)
    tasks = [gevent.spawn(ask, number) for number in range(CONNECTIONS)]
    gevent.sleep(0.5)
    main.execute_command(*publish_words(token))
    gevent.joinall(tasks, timeout=60, raise_error=True)
    logger.kill()
    report(started, ticks, sum(right))


async def with_asyncio():
    import asyncio

    import redis.asyncio

    ticks = []

    async def log():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(EVERY)

    async def ask(number):
        async with redis.asyncio.Redis(port=PORT, socket_timeout=60) as client:
            words, good = command(number)
            return good(await client.execute_command(*words))

    async with redis.asyncio.Redis(port=PORT) as main:
        await main.execute_command("IL.LOCK", "held", "somebody")
        token = await main.execute_command("IL.ONCE", "value")
        started = time.monotonic()
        logger = asyncio.create_task(log())
        tasks = [asyncio.create_task(ask(number)) for number in range(CONNECTIONS)]
        await asyncio.sleep(0.5)
        await main.execute_command(*publish_words(token))
        right = sum(await asyncio.wait_for(asyncio.gather(*tasks), 60))
        logger.cancel()
        report(started, ticks, right)


if __name__ == "__main__":
    if KIND == "gevent":
        with_gevent()
    else:
        import asyncio

        asyncio.run(with_asyncio())
