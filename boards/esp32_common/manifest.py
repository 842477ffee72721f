# What the port needs to boot, the library, and what a board runs; watchdog and deep sleep are of these chips only.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
include("../../firmware/manifest.py")
module("ikev2_sleep.py", base_path="../../build/frozen")
module("ikev2_watchdog.py", base_path="../../build/frozen")
