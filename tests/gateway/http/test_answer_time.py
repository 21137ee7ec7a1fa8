"""How long an answer may take to begin, over a real connection."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from gateway.http.answer_time import AnswerTime


def app_of(handler, timeout_s: float) -> AnswerTime:
    return AnswerTime(Starlette(routes=[Route("/{path:path}", handler, methods=["GET", "POST"])]), timeout_s)


async def test_what_does_not_begin_in_time_is_given_up(serve_port):
    ended = asyncio.Event()

    async def never(_):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serve_port(app=app_of(never, 0.05)) as port:
        answer = await port.answer(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (answer.status, answer.json["error"]) == (504, "answer_timeout")
    assert answer.headers["retry-after"] == "1"
    assert ended.is_set()


async def test_what_has_begun_may_go_on(serve_port):
    go_on, late = asyncio.Event(), asyncio.Event()

    async def parts():
        yield "one "
        await go_on.wait()
        yield "two"

    async def stream(request):
        if request.url.path == "/late":
            await late.wait()
        return StreamingResponse(parts())

    async with serve_port(app=app_of(stream, 0.05)) as port:
        reader, writer = await port.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"one ")
        other = await port.answer(b"GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert other.status == 504  # so much time has passed
        go_on.set()
        assert b"two" in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_a_handler_that_gives_up_itself_is_not_said_to_be_late(serve_port):
    async def impatient(_):
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return PlainTextResponse("not today", 503)

    async with serve_port(app=app_of(impatient, 5)) as port:
        answer = await port.answer(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (answer.status, answer.body) == (503, b"not today")


async def test_a_client_that_leaves_before_it_is_answered_is_no_error(serve_port):
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def read_late(request):
        begun.set()
        await go_on.wait()
        try:
            await request.body()
        finally:
            ended.set()

    async with serve_port(app=app_of(read_late, 5)) as port:
        _, writer = await port.open()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        await asyncio.wait_for(begun.wait(), 5)
        writer.transport.abort()
        await port.until(lambda: port.entrance.connections == 0)
        go_on.set()
        await asyncio.wait_for(ended.wait(), 5)
        await port.until(lambda: not port.state.tasks)
