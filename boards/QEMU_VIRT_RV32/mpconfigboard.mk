# A RISC-V of 32 bits whose RAM lies above 2**30: MicroPython's qemu port on QEMU's virt machine. No network: its REPL
# is enough for the vectors.
QEMU_ARCH = riscv32
QEMU_MACHINE = virt

# With this edition of the instruction set the CSR instructions are part of a name that the compiler has libraries for.
RV32_ARCH = rv32imac
AFLAGS += -misa-spec=2.2

include $(BOARD_DIR)/../qemu_common/common.mk

CFLAGS += -DQEMU_SOC_VIRT
CFLAGS += -DMICROPY_HW_MCU_NAME='"$(RV32_ARCH)"'
MPY_CROSS_FLAGS += -march=rv32imc

LDSCRIPT = mcu/rv32/virt.ld
LDFLAGS += -Wl,--wrap=uart_rx_chr
SRC_C += $(BOARD_DIR)/console.c

SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o
