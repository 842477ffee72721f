"""A CoAP server with one resource, /attic, which takes what is posted and prints it. Arguments: address, port."""

import asyncio
import sys

import aiocoap
from aiocoap import resource


class Readings(resource.Resource):
    """Takes readings."""

    async def render_post(self, request):
        """One reading."""
        print(request.payload.decode(), request.mtype, flush=True)
        return aiocoap.Message(code=aiocoap.CHANGED)


async def main(address, port):
    site = resource.Site()
    site.add_resource(["attic"], Readings())
    await aiocoap.Context.create_server_context(site, bind=(address, int(port)))
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
