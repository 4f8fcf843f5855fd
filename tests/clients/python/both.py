"""AsyncClient, used as Client is, so that one test holds for both."""

import asyncio
import inspect
from collections.abc import Generator


class Blocking:
    """An AsyncClient with an event loop of its own, which runs while a call does."""

    def __init__(self, kind: type, url: str, options: dict) -> None:
        self.client = kind(url, **options)
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, name: str):
        method = getattr(self.client, name)

        def call(*given, **named):
            begun = method(*given, **named)
            if inspect.isasyncgen(begun):
                return self._iterate(begun)
            return self.loop.run_until_complete(begun)

        return call

    def close(self) -> None:
        self.loop.run_until_complete(self._finish())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    async def _finish(self) -> None:
        """As asyncio.run does: let what was given up come to its end."""
        await self.client.close()
        await asyncio.gather(
            *asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True
        )

    def _iterate(self, items) -> Generator:
        try:
            while True:
                try:
                    item = self.loop.run_until_complete(items.__anext__())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.loop.run_until_complete(items.aclose())
