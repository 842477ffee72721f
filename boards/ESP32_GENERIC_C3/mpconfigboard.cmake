set(IDF_TARGET esp32c3)
set(BOARD_SDKCONFIG boards/ESP32_GENERIC_C3/sdkconfig.c3usb)
include(${CMAKE_CURRENT_LIST_DIR}/../esp32_common/common.cmake)
