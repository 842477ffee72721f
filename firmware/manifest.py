# What every board freezes: the library, and what a board runs.
module("main.py", base_path="frozen")
module("ikev2_main.py")
module("ikev2_memory.py")
module("ikev2_network.py")
module("ikev2_tunnel.py")
include("../lib/manifest.py")
module("ikev2_hub.py")
