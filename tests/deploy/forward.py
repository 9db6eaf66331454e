"""`forward.py ADDRESS PORT TARGET_PORT [LOG]`: hands connections on to a server that listens on loopback only.

LOG gets a line for each connection and for each piece that came in by it: the address here, and the bytes.
"""

import asyncio
import sys


def note(address, size):
    if len(sys.argv) > 4:
        with open(sys.argv[4], "a") as log:
            log.write(f"{address} {size}\n")


async def pump(reader, writer, noted=None):
    try:
        while data := await reader.read(1 << 16):
            if noted:
                note(noted, len(data))
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def one(reader, writer):
    address = writer.get_extra_info("sockname")[0]
    note(address, 0)
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[3]))
    await asyncio.gather(pump(reader, back, address), pump(there, writer))


async def main():
    server = await asyncio.start_server(one, sys.argv[1], int(sys.argv[2]))
    await server.serve_forever()


asyncio.run(main())
