"""A TCP proxy that cuts: it passes bytes on until so many went one way, then ends the connection on both sides."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Literal, Self

Way = Literal["there", "back"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without lingering: a reset instead of an orderly end


class Proxy:
    """Listens at `port` and passes on to `target`. `cut_after` arms it once, for whichever connection comes so far first.

    `seen` keeps what went each way since the last `listen`.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.seen: dict[Way, bytearray] = {"there": bytearray(), "back": bytearray()}
        self.cuts = 0
        self._armed: tuple[Way, int, bool] | None = None
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def listen(self) -> None:
        """Forget what was seen and disarm."""
        with self._lock:
            self._armed = None
            for way in self.seen.values():
                way.clear()

    def cut_after(self, way: Way, count: int, with_reset: bool = False) -> None:
        """Cut once so many more bytes went that way; 0 cuts at the next byte without passing it on."""
        self.listen()
        with self._lock:
            self._armed = way, count, with_reset

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ends: tuple[tuple[Way, socket.socket, socket.socket], ...] = (
                    ("there", client, server),
                    ("back", server, client),
                )
                is_cut = threading.Event()
                for way, source, sink in ends:
                    threading.Thread(target=self._pass, args=(way, source, sink, is_cut), daemon=True).start()

    def _pass(self, way: Way, source: socket.socket, sink: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                part, with_reset = self._allowed(way, data)
                sink.sendall(data[:part])
                if part < len(data):
                    is_cut.set()
                    for each in (source, sink):
                        if with_reset:
                            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        with suppress(
                            OSError
                        ):  # wakes the other thread: a socket ends when nobody reads it any more
                            each.shutdown(socket.SHUT_RD if with_reset else socket.SHUT_RDWR)
                        each.close()
                    return
        if not is_cut.is_set():
            for each in (source, sink):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _allowed(self, way: Way, data: bytes) -> tuple[int, bool]:
        """How many of these bytes may pass."""
        with self._lock:
            before = len(self.seen[way])
            self.seen[way] += data
            if self._armed is None or self._armed[0] != way or before + len(data) <= self._armed[1]:
                return len(data), False
            _, count, with_reset = self._armed
            self._armed = None
            self.cuts += 1
            return count - before, with_reset
