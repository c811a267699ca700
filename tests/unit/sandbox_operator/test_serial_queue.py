import asyncio
from itertools import pairwise

from weighbridge_sandbox.serial import Key, SerialQueue


def key(name: str) -> Key:
    return ("ns", name)


def test_a_key_waits_once_and_in_order() -> None:
    async def scenario() -> list[Key]:
        queue = SerialQueue()
        for name in "abacab":
            queue.add(key(name))
        return [await queue.take() for _ in range(3)]

    assert asyncio.run(scenario()) == [key("a"), key("b"), key("c")]


def test_a_key_added_while_it_is_worked_on_gets_another_turn() -> None:
    async def scenario() -> Key:
        queue = SerialQueue()
        queue.add(key("a"))
        await queue.take()
        queue.add(key("a"))
        return await asyncio.wait_for(queue.take(), 1)

    assert asyncio.run(scenario()) == key("a")


def test_a_later_turn_comes_once_and_not_before_its_time() -> None:
    async def scenario() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        queue = SerialQueue()
        started = loop.time()
        queue.add_after(key("a"), 0.05)
        queue.add_after(key("a"), 0.2)
        await asyncio.wait_for(queue.take(), 1)
        waited = loop.time() - started
        try:
            await asyncio.wait_for(queue.take(), 0.3)
        except TimeoutError:
            return waited, False
        return waited, True

    waited, again = asyncio.run(scenario())
    assert 0.04 < waited < 0.19
    assert not again


def test_an_appointment_is_dropped_when_the_key_is_added_at_once() -> None:
    async def scenario() -> bool:
        queue = SerialQueue()
        queue.add_after(key("a"), 0.05)
        queue.add(key("a"))
        await queue.take()
        try:
            await asyncio.wait_for(queue.take(), 0.15)
        except TimeoutError:
            return False
        return True

    assert not asyncio.run(scenario())


def test_takers_are_woken() -> None:
    async def scenario() -> list[Key]:
        queue = SerialQueue()
        taking = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.add(key("a"))
        first = await asyncio.wait_for(taking, 1)
        queue.add(key("b"))
        return [first, await asyncio.wait_for(queue.take(), 1)]

    turns = asyncio.run(scenario())
    assert all(earlier < later for earlier, later in pairwise(turns))
