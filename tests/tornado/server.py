"""A Tornado server for the tests.

Usage: server.py NAME SECONDS PORT. It listens on the port, 0 for one that is free, and prints it. A request
for / is answered with the name after so many seconds. It ends when its standard input does, so it never
outlives the tests.
"""

import asyncio
import os
import sys
import threading

from tornado import httpserver, netutil, web

NAME = sys.argv[1]
SECONDS = float(sys.argv[2])
PORT = int(sys.argv[3])


class Named(web.RequestHandler):
    def set_default_headers(self):
        self.set_header("X-Backend", NAME)


class Name(Named):
    async def get(self):
        await asyncio.sleep(SECONDS)
        self.write(NAME)


class Page(Named):
    """Sends 3 kB with their head in one piece."""

    def get(self):
        self.write(NAME * 3000)


class Headers(Named):
    """Says what headers it was sent, and sends some that are for the connection only."""

    def get(self):
        self.set_header("Connection", "X-Internal")
        self.set_header("X-Internal", "1")
        self.set_header("Keep-Alive", "timeout=5")
        for name, value in self.request.headers.get_all():
            self.write(f"{name}: {value}\n")


class Held(Named):
    """Streams a line at once and another when /release has been asked for."""

    released = asyncio.Event()

    async def get(self):
        self.write("begin\n")
        await self.flush()
        await self.released.wait()
        self.write("end\n")


class Release(Named):
    def get(self):
        Held.released.set()


@web.stream_request_body
class Echo(Named):
    """Sends each piece of the body back before it reads the next."""

    async def data_received(self, chunk):
        self.write(chunk)
        await self.flush()

    def post(self):
        pass


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


async def main():
    paths = [
        ("/", Name),
        ("/page", Page),
        ("/headers", Headers),
        ("/held", Held),
        ("/release", Release),
        ("/echo", Echo),
    ]
    sockets = netutil.bind_sockets(PORT, "127.0.0.1")
    httpserver.HTTPServer(web.Application(paths)).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    await asyncio.Event().wait()


asyncio.run(main())
