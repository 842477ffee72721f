"""The emulated board: QEMU, its REPL by mpremote, and its network, SLIP on a socket, as IP packets or a TUN device."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import tty

from mpremote.transport_serial import SerialTransport
from serial import SerialException
from tools import BUILD, arguments

FIRMWARE = BUILD / "QEMU_MPS2/firmware.elf"
ADDRESS, PEER = "10.66.0.2", "10.66.0.1"
TUN = "ikev2board"
CLOCK_NS = 40  # a tick of the board's timer; with `icount` so many instructions
_SHORT = 80  # octets of code that go by the REPL
_END, _ESC, _ESC_END, _ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


def slip(packet):
    """A packet as RFC 1055 frames it."""
    return bytes((_END,)) + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + bytes((_END,))


def unslip(frame):
    """The packet of a frame."""
    return frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


def ipv4(source, to, protocol, payload):
    """An IPv4 packet."""
    from scapy.layers.inet import IP  # takes a while, and few need it
    from scapy.packet import Raw

    return bytes(IP(src=source, dst=to, proto=protocol) / Raw(payload))


class Machine:
    """A running emulated board with a REPL, until this thread ends at the latest.

    Its terminal is ours and is held open: to one of QEMU's own, nothing is said while nobody has opened it.
    `memory` is (address, size in MB) of a RAM whose second half nothing uses: what is to be executed goes there, since
    its UART takes an octet in the time of a thousand instructions and more.
    """

    def __init__(self, board, emulator, machine, memory, *options, sockets=()):
        self._code_offset = memory[1] << 19
        self._code_at = memory[0] + self._code_offset
        self._memory = os.memfd_create("ram")
        os.truncate(self._memory, memory[1] << 20)
        end, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        self.repl_device = os.ttyname(self._terminal)
        command = [
            "setpriv", "--pdeathsig", "KILL", emulator, "-nographic", "-monitor", "null", "-semihosting",
            "-kernel", str(BUILD / board / "firmware.elf"), "-add-fd", f"fd={end},set=1",
            "-chardev", "serial,id=repl,path=/dev/fdset/1", "-serial", "chardev:repl",
            "-machine", f"{machine},memory-backend=ram", "-object",
            f"memory-backend-file,id=ram,size={memory[1]}M,share=on,mem-path=/proc/self/fd/{self._memory}", *options,
        ]  # fmt: skip
        # A session of its own: Ctrl-C on our terminal is for us.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, pass_fds=(end, self._memory, *sockets),
        )  # fmt: skip
        os.close(end)
        self._printed = b""
        self._transport = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._transport:
            with contextlib.suppress(Exception):
                self._transport.close()
        os.close(self._terminal)
        os.close(self._memory)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def repl(self):
        """mpremote's transport in raw REPL mode: main.py is interrupted first."""
        if not self._serial.in_raw_repl:
            try:
                self._serial.enter_raw_repl(soft_reset=False)
            except SerialException as error:  # the other end is closed
                raise RuntimeError(f"qemu ended, {self.process.wait()}: {self.process.stdout.read()}") from error
            self._printed = b""
        return self._serial

    @property
    def _serial(self):
        if self._transport is None:
            self._transport = SerialTransport(self.repl_device, baudrate=115200)
        return self._transport

    def exec(self, code):
        """What the board prints for that code."""
        octets = code.encode()
        if len(octets) > _SHORT:
            os.pwrite(self._memory, octets, self._code_offset)
            octets = b"exec(__import__('uctypes').bytearray_at(%d,%d))" % (self._code_at, len(octets))
        return self.repl.exec(octets).decode()

    def bring(self, path, octets):
        """A file in a new folder of the board's; its terminal is left to others."""
        self.repl.fs_mkdir(path.rpartition("/")[0])
        self.repl.fs_writefile(path, octets)
        self._transport.close()
        self._transport = None

    def start(self):
        """Leave the raw REPL by a soft reset into main.py."""
        self.repl.exit_raw_repl()
        self._serial.serial.write(b"\x04")

    def console(self, until, seconds=60):
        """What the board prints, up to and with `until`; the time limit only ends what would last for ever.

        Read where it arrives: pyserial drops what was printed before it opens a port.
        """
        end = time.monotonic() + seconds
        while until not in self._printed:
            if time.monotonic() > end:
                raise TimeoutError(self._printed.decode(errors="replace"))
            if select.select([self._terminal], [], [], 0.005)[0]:
                self._printed += os.read(self._terminal, 4096)
        said, _, self._printed = self._printed.partition(until)
        return (said + until).decode(errors="replace")

    def type(self, octets):
        """Press keys."""
        self._serial.serial.write(octets)


def riscv():
    """A RISC-V of 32 bits, whose addresses are above 2**30."""
    return Machine("QEMU_VIRT_RV32", "qemu-system-riscv32", "virt", (0x80000000, 128), "-bios", "none")


class Board(Machine):
    """A Cortex-M3 with a network. `icount` makes its clock count instructions: 1 ns each."""

    def __init__(self, icount=False, *options, folder="QEMU_MPS2"):
        self._socket, its_end = socket.socketpair()
        with its_end:
            super().__init__(
                folder, "qemu-system-arm", "mps2-an385", (0x21000000, 16),
                "-chardev", f"socket,id=link,fd={its_end.fileno()}", "-serial", "chardev:link",
                *(["-icount", "shift=0"] if icount else []), *options, sockets=(its_end.fileno(),),
            )  # fmt: skip
        self._socket.setblocking(False)
        self.link = self._socket.fileno()
        self._frames = b""

    def __exit__(self, *_):
        super().__exit__()
        self._socket.close()

    def send(self, packet):
        """An IP packet to the board."""
        frame = slip(packet)
        while frame:
            try:
                frame = frame[os.write(self.link, frame) :]
            except BlockingIOError:
                select.select([], [self.link], [], 1)

    def receive(self, seconds=60):
        """The next IP packet from the board; None if there is none in that time."""
        end = time.monotonic() + seconds
        while True:
            frame, found, rest = self._frames.partition(bytes((_END,)))
            if found:
                self._frames = rest
                if frame:
                    return unslip(frame)
                continue
            if not select.select([self.link], [], [], max(0, end - time.monotonic()))[0]:
                return None
            self._frames += os.read(self.link, 4096)

    def send_udp(self, port, data, source=(PEER, 40000)):
        """A datagram to a port of the board."""
        from scapy.layers.inet import IP, UDP
        from scapy.packet import Raw

        # Without a checksum, as IPv4 allows.
        self.send(bytes(IP(src=source[0], dst=ADDRESS) / UDP(sport=source[1], dport=port, chksum=0) / Raw(data)))

    def receive_udp(self, seconds=60):
        """(port of the board, (address, port) it goes to, data) of the next datagram from the board."""
        from scapy.layers.inet import IP, UDP
        from scapy.utils import checksum

        packet = self.receive(seconds)
        if packet is None:
            return None
        assert checksum(packet[:20]) == 0
        found = IP(packet)
        assert found.proto == 17 and found[UDP].len == len(packet) - 20
        return found.sport, (found.dst, found.dport), packet[28:]  # what scapy makes of the data is no matter

    def tun(self, name):
        """File descriptor of a new TUN device of that name in this network namespace (root)."""
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))
        return device

    def bridge(self, device, stop):
        """Carry packets between a TUN device and the board until stop() is true."""
        while not stop():
            ready = select.select([device, self.link], [], [], 0.1)[0]
            if device in ready:
                self.send(os.read(device, 2048))
            if self.link in ready or self._frames:
                packet = self.receive(0)
                if packet:
                    os.write(device, packet)


def serve():
    """Boot a board, say how to reach it, and carry its packets until it ends."""
    with Board() as board:
        print(f"REPL:    .venv/bin/mpremote connect {board.repl_device}")
        device = None
        try:
            device = board.tun(TUN)
        except OSError as error:
            print(f"network: none without the TUN device {TUN}, which root may make ({error.strerror})")
        else:
            for command in (f"ip addr add {PEER} peer {ADDRESS} dev {TUN}", f"ip link set {TUN} up"):
                subprocess.run(command.split(), check=True)
            print(f"network: {ADDRESS}, through the TUN device {TUN}; make probe HOST={ADDRESS}")
        print("Ctrl-C ends it", flush=True)
        if device is None:
            board.process.wait()
        else:
            board.bridge(device, lambda: board.process.poll() is not None)


def main():
    if not FIRMWARE.exists():
        print("no firmware yet: make firmware")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        serve()
    print("the board has ended")
    return 0


if __name__ == "__main__":
    arguments(sys.argv[1:])
    sys.exit(main())
