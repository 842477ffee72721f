set(IDF_TARGET esp32s3)
set(CHIP_SDKCONFIG boards/sdkconfig.usb)
include(${CMAKE_CURRENT_LIST_DIR}/../esp32_common/common.cmake)
