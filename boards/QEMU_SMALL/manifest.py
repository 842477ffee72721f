# What a stock firmware has frozen that matters here; library and firmware files come by deploy.
include("$(MPY_DIR)/extmod/asyncio")
module("_boot.py", base_path="../QEMU_MPS2")
