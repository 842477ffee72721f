# A Cortex-M3 that everyone has: MicroPython's qemu port on the MPS2-AN385 with lwIP over SLIP on its second UART.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385
MPS2_DIR ?= $(BOARD_DIR)

include $(BOARD_DIR)/../qemu_common/common.mk

CFLAGS += -mthumb -mcpu=cortex-m3 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2 -I$(MPS2_DIR) -I$(MPS2_DIR)/include
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
MPY_CROSS_FLAGS += -march=armv7m

LDSCRIPT = $(MPS2_DIR)/mps2.ld
LDFLAGS += -Wl,--wrap=uart_rx_chr -Wl,--wrap=mp_hal_stdio_poll -Wl,--wrap=pyexec_friendly_repl
LDFLAGS += -Wl,--wrap=udp_recv -Wl,--wrap=raw_recv

MICROPY_PY_LWIP = 1
MICROPY_VFS_LFS2 = 1

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
SRC_C += $(MPS2_DIR)/link.c $(MPS2_DIR)/start.c
SRC_C += lib/lwip/src/netif/slipif.c
