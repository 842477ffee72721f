"""make flash: write a stock MicroPython image onto a board with esptool: PORT, BOARD, FIRMWARE. Files on it stay."""

import subprocess
import sys

from tools import arguments

from boards import board_files


def esptool(*arguments):
    """Run esptool; what it said. Refused if it fails."""
    done = subprocess.run([sys.executable, "-m", "esptool", *map(str, arguments)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode:
        lines = [line for line in said.strip().splitlines() if line.strip()] or ["esptool failed"]
        hint = ""
        if "busy" in said or "lock" in said:
            hint = "; another program has the port open: close it (mpremote, a serial monitor)"
        elif "Failed to connect" in said or "No serial data" in said:
            hint = "; hold BOOT while plugging the board in, and try again"
        elif "This chip is" in said:
            hint = "; choose the BOARD that is on the desk"
        raise board_files.Refused(f"{lines[-1]}{hint}")
    return said


def esptool_arguments(given):
    """What esptool is called with."""
    board, port, firmware = given["BOARD"], given["PORT"], given["FIRMWARE"]
    chip, _, offset = board_files.chip_of(board)
    board_files.firmware_for(board, firmware)
    board_files.port_there(port)
    return ["--chip", chip, "--port", port, "--baud", "460800", "write-flash", hex(offset), firmware]


def main():
    given = arguments(sys.argv[1:], PORT="", BOARD="", FIRMWARE="")
    print(esptool(*esptool_arguments(given)), end="")
    print(f"next: make deploy PORT={given['PORT']}")


if __name__ == "__main__":
    sys.exit(board_files.command(main))
