# What the boards have in common; BOARD_SDKCONFIG is what a board needs beside it.
# MicroPython's own sdkconfig files are named from its esp32 port.
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    ${CMAKE_CURRENT_LIST_DIR}/sdkconfig
    ${BOARD_SDKCONFIG}
)
set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest.py)
