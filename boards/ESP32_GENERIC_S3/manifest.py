include("../esp32_common/manifest.py")
