"""`forward.py ADDRESS PORT TARGET_PORT`: hands connections on to a server that listens on loopback only."""

import asyncio
import sys


async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def one(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[3]))
    await asyncio.gather(pump(reader, back), pump(there, writer))


async def main():
    server = await asyncio.start_server(one, sys.argv[1], int(sys.argv[2]))
    await server.serve_forever()


asyncio.run(main())
