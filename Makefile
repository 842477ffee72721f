# Every command; `make` alone lists them. A new one is a line here and a file: host_tests/README.md says how.
# What is given as NAME=value goes to the command as an argument; it knows its names.
# Bytecode is kept, whatever the environment says: a run compiles nothing twice.
RUN := PYTHONPATH=lib:host_tests PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/build/pycache .venv/bin/python -m
SETUP := host_tests/setup.sh
# As it was given, one word for the shell: nothing in it is expanded, also not on its way into an environment. A line
# break would end the recipe's line.
define newline


endef
quoted = $(if $(findstring $(newline),$(value $(1))),$(error $(1) has a line break in it))'$(subst ','\'',$(value $(1)))'
names := $(foreach name,$(filter-out MICROPYTHON,$(.VARIABLES)),$(if $(filter command,$(origin $(name))),$(name)))
given = $(foreach name,$(names),$(name)=$(call quoted,$(name)))
unexport $(names)

help:               ## this list
	@awk -F ' *## ' '/^## /{print "\n" $$2} /^[a-z]+:.*##/{sub(":.*", "", $$1); printf "  make %-9s %s\n", $$1, $$2}' Makefile

## To begin
setup: venv unix    ## what most commands need: .venv and the MicroPython unix port; the others set up the rest by themselves
demo: unix;         @$(RUN) commands.demo $(given)          ## [OCTETS=1]: a sensor publishes by MQTT, is cut off, sleeps, wakes; then packets without an SA and their answers
run: unix;          @$(RUN) commands.run $(given)           ## [HOST=0.0.0.0 UDP_PORT=500 UDP_PORT_NAT=4500 RAW=50,51]: the node, a line a verdict
probe: venv;        @$(RUN) commands.probe $(given)         ## HOST=address [UDP_PORT=500 UDP_PORT_NAT=4500]: the questions of section 1.5 to anybody
gateway: venv;      @$(RUN) commands.gateway $(given)       ## CONFIG=ikev2.json FOR=strongswan|libreswan|opnsense|mikrotik: what to paste into the gateway
try: unix;          @$(RUN) commands.try_tunnel $(given)    ## CONFIG=ikev2.json [PING=address COUNT=3 EVERY=0.5 MACHINE=unix|cpython|board|small CONTACT=0]: it, from this PC
hub: venv;          @PYTHONPATH=lib .venv/bin/python -m ipsec hub $(call quoted,CONFIG) ## CONFIG=hub.json: the other end, without a gateway: accepts devices, says who is there and what they send
capture: unix;      @$(RUN) commands.capture $(given)       ## build/demo.pcap: the demo and its keys, to open in Wireshark

## Boards
flash: venv;        @$(RUN) boards.flash $(given)           ## PORT=/dev/ttyUSB0 BOARD=ESP32_GENERIC FIRMWARE=file.bin: stock MicroPython onto a board
deploy: venv;       @$(RUN) boards.deploy $(given)          ## PORT=/dev/ttyUSB0 [CONFIG=ikev2.json EXAMPLE=mqtt]: everything onto a board that runs MicroPython
watch: venv;        @$(RUN) boards.watch $(given)           ## PORT=/dev/ttyUSB0: a board's log, counters and tunnel, as they change
psk: ;              @PYTHONPATH=lib python3 -m ipsec psk      ## a good "psk" and "ppk" for ikev2.json: 128 and 256 random bits
image: venv;        @$(RUN) boards.image $(given)           ## BOARD=ESP32_GENERIC FIRMWARE=file.bin [CONFIG=ikev2.json FLASH=4MB]: both in one file
release: venv;      @$(RUN) boards.release $(given)         ## [BOARD=ESP32_GENERIC FIRMWARE=file.bin]: build/release: wheel, tree for mip, an image for a board, hashes
firmware: ;         @$(SETUP) firmware $(call quoted,BOARD) $(call quoted,MPY_DIR) ## [BOARD=…]: images of the emulated boards with the library frozen; of an ESP32 with your ESP-IDF and MPY_DIR=…
board: unix qemu;   @$(RUN) boards.emulator $(given)        ## boots the emulated board and says how to reach its REPL and network
mip: venv;          @$(RUN) boards.mip $(given)             ## lib/*.json anew: the pieces that `mpremote mip install` takes

## Proof
vectors: venv;      @$(RUN) golden.run_vectors $(given)     ## [TARGET=cpython|unix|newest|board|riscv|udp://HOST FILES="a.json"]: the golden vectors
rules: venv;        @$(RUN) golden.rules $(given)           ## [ID=S2.7]: every rule with its lines of code, vectors and tests; or all there is of one
peers: unix qemu daemons programs; @$(RUN) pytest host_tests/peers && $(RUN) peers.compare $(given) ## [MARKDOWN=1]: real IKE daemons and the node, in namespaces (root)
soak: unix;         @$(RUN) measure.soak $(given)           ## [COUNT=2000000 REKEYS=2880]: mixed datagrams through the unix port with 64 KiB of heap; a night of rekeys each ten seconds of a simulated clock
fuzz: venv;         @$(RUN) measure.fuzz $(given) && $(RUN) measure.fuzz_attempt $(given) && $(RUN) measure.fuzz_accept $(given) && $(RUN) measure.fuzz_esp $(given) && $(RUN) measure.fuzz_tcp $(given) ## [SECONDS=60 | RUNS=1000000]: coverage-guided fuzzing of what is received, attempts, who accepts, ESP, TCP
mutants: venv;      @$(RUN) measure.mutants $(given)        ## [MODULES="wire slots"|all EVERY=1 FIRST=0]: small changes to the core that the tests must notice
size: qemu;         @$(RUN) measure.size $(given)           ## [README=1]: flash, RAM and instructions on the emulated board
bench: unix daemons;        @$(RUN) measure.bench $(given)          ## speed, as ratios
lint: venv;         @.venv/bin/ruff check . && .venv/bin/ruff format --check . ## ruff
test: $(if $(value TESTS),,packages) lint unix $(if $(value TESTS),,newest oldest qemu daemons programs); @$(if $(value TESTS),PYTEST_ADDOPTS=$(call quoted,TESTS) $(RUN) pytest,$(RUN) pytest -n auto --dist loadfile) ## [TESTS=host_tests/library]: everything, on every machine
clean: ;            rm -rf build .venv                      ## forget what was built and installed here

venv: ;             @$(SETUP) host
unix: venv;         @$(SETUP) unix
newest: ;           @$(SETUP) newest
oldest: ;           @$(SETUP) oldest
qemu: venv;         @$(SETUP) firmware
daemons: ;          @$(SETUP) peers
programs: ;         @$(SETUP) programs
packages: ;         @$(SETUP) packages

.PHONY: $(shell sed -n 's/^\([a-z]*\):.*/\1/p' Makefile)
