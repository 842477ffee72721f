# Shared by the boards; CHIP_SDKCONFIG is what the chip needs of MicroPython's.
# The folder of the board is MICROPY_BOARD_DIR; MicroPython's own sdkconfig files are named from its esp32 port.
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    ${CHIP_SDKCONFIG}
    ${CMAKE_CURRENT_LIST_DIR}/sdkconfig
    ${MICROPY_BOARD_DIR}/sdkconfig.board
)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
