"""How long an answer may take to begin."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

AGAIN_S: Final = 1


class AnswerTime:
    """Answers 504 where an application has not begun to answer in time.

    What has begun goes on for as long as its client reads. A client that is gone is nobody's mistake.
    """

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._timeout_s) as limit:

                async def send_in_time(message: Message) -> None:
                    if limit.when() is not None:
                        limit.reschedule(None)
                    await send(message)

                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
            await _answer_late(scope, receive, send)
        except ClientDisconnect:
            return


async def _answer_late(scope: Scope, receive: Receive, send: Send) -> None:
    body = {"error": "answer_timeout", "message": "the answer was not there in time"}
    headers = {"Cache-Control": "no-store", "Retry-After": str(AGAIN_S)}
    await JSONResponse(body, 504, headers)(scope, receive, send)
