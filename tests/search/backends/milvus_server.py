"""Runs Milvus where no network reaches it, and passes a Unix socket on to it.

    unshare --net python milvus_server.py PACKAGES FOLDER

The servers of Milvus listen on all interfaces; in a network namespace of their own these are its
loopback alone. PACKAGES is where the wheel `milvus` is installed, FOLDER what it may write to;
`FOLDER/socket` is the way in. Prints a line when the server is up, and ends with its standard
input. `way_in` is the other end: a port of this machine's loopback.
"""

import fcntl
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress

#: Of Linux: set the flags of an interface; it is up.
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP, b""))


def pass_on(listener, target):
    """Connects whoever comes to a listening socket with a target, until the process ends."""

    def pump(one, other):
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def connect(one):
        with (
            one,
            socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET) as other,
        ):
            other.connect(target)
            back = threading.Thread(target=pump, args=(other, one), daemon=True)
            back.start()
            pump(one, other)
            back.join()

    def accept():
        with suppress(OSError):  # the listener is closed
            while True:
                one, _ = listener.accept()
                threading.Thread(target=connect, args=[one], daemon=True).start()

    listener.listen(64)
    threading.Thread(target=accept, daemon=True).start()


def way_in(folder):
    """A listener on a port of the loopback that leads to the server."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    pass_on(listener, f"{folder}/socket")
    return listener


def main(packages, folder):
    raise_loopback()
    sys.path.insert(0, packages)
    from milvus import default_server

    default_server.set_base_dir(folder)
    # What is written can be read after the next tick, by default 200 ms: less to wait for.
    default_server.config.set("proxy.timeTickInterval", "20")
    default_server.start()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/socket")
    pass_on(listener, ("127.0.0.1", default_server.listen_port))
    print("up", flush=True)
    sys.stdin.read()
    server = default_server.server_proc
    server.send_signal(signal.SIGINT)  # after SIGTERM it hangs
    with suppress(subprocess.TimeoutExpired):
        server.wait(10)
    server.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
