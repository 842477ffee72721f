import ikev2_main


async def listen():
    sock = ikev2_main.hub.socket(5683)
    while True:
        message, (host, port) = await sock.recvfrom()
        print("hub:", ikev2_main.hub.peer(host), message.split(b"\xff")[-1])
        await sock.sendto(b"\x60\x44" + message[2:4], (host, port))  # Changed, the acknowledgment of RFC 7252


ikev2_main.run(listen())
