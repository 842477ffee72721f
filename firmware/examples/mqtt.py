import sys

import ikev2_main

BROKER = "10.9.0.254"  # or a name, behind a gateway


async def publish():
    tunnel = await ikev2_main.up()
    sys.modules["socket"] = sys.modules["usocket"] = tunnel.sockets()
    from umqtt.simple import MQTTClient

    client = MQTTClient("sensor-7", BROKER)
    client.connect()
    client.publish(b"attic/temperature", b"21.5", qos=1)
    print("mqtt: published")
    client.disconnect()


ikev2_main.run(publish())
