include("$(MPY_DIR)/extmod/asyncio")
module("_boot.py", base_path="$(BOARD_DIR)")
module("ikev2_sleep.py", base_path="../../firmware")
include("../../firmware/manifest.py")
# For make try MACHINE=board.
package("ipsec", files=["tools/__init__.py", "tools/try_tunnel.py", "tools/watch.py"], base_path="../../lib")
