import ikev2_main

SERVER = "10.9.0.254"  # or a name, behind a gateway


async def fetch():
    tunnel = await ikev2_main.up()
    reader, writer = await tunnel.open_connection(SERVER, 80)  # ssl=True or an SSLContext: TLS
    writer.write(b"GET /readings HTTP/1.0\r\nHost: %s\r\n\r\n" % SERVER.encode())
    _, body = (await reader.read()).split(b"\r\n\r\n", 1)
    print("http:", body)
    await writer.aclose()


ikev2_main.run(fetch())
