set(IDF_TARGET esp32s3)
set(BOARD_SDKCONFIG boards/sdkconfig.usb ${CMAKE_CURRENT_LIST_DIR}/sdkconfig.board)
include(${CMAKE_CURRENT_LIST_DIR}/../esp32_common/common.cmake)
