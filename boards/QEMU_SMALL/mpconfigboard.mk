# The Cortex-M3 of QEMU_MPS2 with as much memory as a stock ESP32 leaves, and no library in its firmware.
MPS2_DIR = $(BOARD_DIR)/../QEMU_MPS2
MICROPY_HEAP_SIZE = 57344

include $(MPS2_DIR)/mpconfigboard.mk

CFLAGS_EXTRA += -Wno-pointer-arith # in the part of py/gc.c that only such a heap has
LDFLAGS += -Wl,--wrap=mp_init -Wl,--wrap=lwip_init -Wl,--wrap=mem_init
SRC_C += $(BOARD_DIR)/pool.c
