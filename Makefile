# Every command; `make` alone lists them.
PYTHON := .venv/bin/python
RUN := PYTHONPATH=lib:host_tests PYTHONUNBUFFERED=1 $(PYTHON)
BOARD ?= QEMU_MPS2
ELF := build/QEMU_MPS2/firmware.elf
export TARGET FILES HOST PORT PORT_NAT SECONDS COUNT BOARD FIRMWARE FLASH CONFIG MICROPYTHON

help:           ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/make \1#\2/p' $(MAKEFILE_LIST) | column -t -s '#'
setup:          ## .venv and the MicroPython unix port
	@host_tests/setup.sh host && host_tests/setup.sh unix
demo: setup     ## wayward packets to a node under MicroPython, and its answers
	@$(RUN) host_tests/commands/demo.py
run: setup      ## the node in the foreground, one line a verdict; Ctrl-C prints the counters [PORT=500 PORT_NAT=4500]
	@$(PYTHON) host_tests/tools.py commands/run_node.py \
	    $(if $(PORT),port=$(PORT)) $(if $(PORT_NAT),port_nat=$(PORT_NAT)) $(ARGS)
probe: setup    ## HOST=… asks any address the questions of section 1.5 [PORT=500 PORT_NAT=4500]
	@$(RUN) host_tests/commands/probe.py
vectors: setup  ## golden vectors [TARGET=cpython|unix|board|udp://HOST FILES="a.json"]
	@if [ "$$TARGET" = board ] || { [ -z "$$TARGET" ] && [ -e $(ELF) ]; }; then host_tests/setup.sh firmware; fi
	@$(RUN) host_tests/golden/run_vectors.py
rules: setup    ## every rule and its vector cases
	@$(RUN) host_tests/golden/rules.py
flash: setup    ## PORT=/dev/ttyUSB0 BOARD=ESP32_GENERIC FIRMWARE=file.bin: stock MicroPython onto a board
	@$(RUN) host_tests/boards/flash.py
deploy: setup   ## PORT=/dev/ttyUSB0 [CONFIG=ikev2.json]: everything onto a board that runs MicroPython
	@$(RUN) host_tests/boards/deploy.py
image: setup    ## BOARD=ESP32_GENERIC FIRMWARE=file.bin [CONFIG=ikev2.json FLASH=4MB]: stock MicroPython and everything in one file
	@$(RUN) host_tests/boards/image.py
firmware:       ## [BOARD=QEMU_MPS2]: the image of a board with the library frozen; an ESP32 needs ESP-IDF and MPY_DIR=…
ifeq ($(BOARD),QEMU_MPS2)
	@host_tests/setup.sh firmware && ls -l $(ELF)
else
	@host_tests/setup.sh esp32 "$(MPY_DIR)"
endif
board: setup    ## boots the emulated board and says how to reach its REPL and network
	@host_tests/setup.sh firmware
	@$(RUN) host_tests/boards/board.py
peers: setup    ## real IKE daemons and the node in namespaces (root): tests, then who does what [ARGS=--markdown]
	@host_tests/setup.sh firmware && host_tests/setup.sh peers
	@$(RUN) -m pytest host_tests/peers >&2 && $(RUN) -m peers.compare $(ARGS)
capture: setup  ## build/demo.pcap: the demo, to open in Wireshark
	@$(RUN) host_tests/commands/capture.py
size: setup     ## flash, RAM and instructions on the emulated board [ARGS=--readme]
	@host_tests/setup.sh firmware
	@$(RUN) host_tests/measure/size.py $(ARGS)
bench: setup    ## speed, as ratios
	@$(RUN) host_tests/measure/bench.py
soak: setup     ## COUNT=2000000 mixed datagrams through the unix port with 64 KiB of heap
	@$(RUN) host_tests/measure/soak.py
fuzz: setup     ## SECONDS=60 of coverage-guided fuzzing of the receive path
	@$(RUN) host_tests/measure/fuzz.py
lint: setup     ## ruff
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
test: lint      ## everything: lint, host tests, every machine
	@host_tests/setup.sh firmware && host_tests/setup.sh peers
	@$(RUN) -m pytest
clean:          ## forget what was built and installed here
	rm -rf build .venv

.PHONY: help setup demo run probe vectors rules flash deploy image firmware board peers capture size bench soak fuzz lint test clean
