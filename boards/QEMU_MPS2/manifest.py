include("$(MPY_DIR)/extmod/asyncio")
module("_boot.py", base_path="$(BOARD_DIR)")
include("../../firmware/manifest.py")
module("ikev2_sleep.py", base_path="../../build/frozen")
# For make try MACHINE=board.
package("ipsec", files=["tools/__init__.py", "tools/try_tunnel.py", "tools/watch.py"], base_path="../../lib")
