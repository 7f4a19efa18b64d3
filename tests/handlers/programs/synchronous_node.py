"""Responds to the request of a synchronized workflow node with the node's output.

The path selects it: `/json` an object, `/text` a text, `/empty` nothing, `/failing` a 503. It has aiohttp's server.
"""

from __future__ import annotations

import sys

from aiohttp import web


async def respond(request: web.Request) -> web.Response:
    given = await request.json()
    if request.path == "/json":
        return web.json_response({"replicas": given["replicas"] + 1, "name": given["name"]})
    if request.path == "/text":
        return web.Response(text="scaled")
    return web.Response(status=503 if request.path == "/failing" else 200)


async def serve(app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import asyncio

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(application))
    loop.run_forever()
