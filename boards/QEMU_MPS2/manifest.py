include("$(MPY_DIR)/extmod/asyncio")
module("_boot.py", base_path="$(BOARD_DIR)")
include("../../firmware/manifest.py")
package("ipsec", files=["try_tunnel.py", "watch.py"], base_path="../../lib")  # for make try MACHINE=board
