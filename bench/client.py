"""The load generator: so many keep-alive connections that send prepared requests as fast as they are answered.

A process of its own with one thread, raw sockets and epoll. `bench.load` runs it and leaves its CPU out:

    python -m bench.client PORT CONNECTIONS SECONDS REQUESTS ANSWERS

REQUESTS is a file of prepared requests; ANSWERS is where the ends and then the waits of all answers go, as doubles.
"""

import array
import json
import select
import socket
import sys
import time as clock
from itertools import count
from pathlib import Path

ID = b"@@@@@@@@@@@@@"  # thirteen letters in every prepared request that each sending fills with a number of its own


class Till:
    """One connection and the request it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got, self.sent = b"", 0.0

    def send(self, request: bytes) -> None:
        """Ask."""
        self.got, self.sent = b"", clock.time()
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read what has come; whether it is a whole answer. Raises when the server hangs up."""
        more = self.socket.recv(65_536)
        if not more:
            raise ConnectionError("the server closed a connection")
        self.got += more
        head = self.got.find(b"\r\n\r\n")
        if head < 0:
            return False
        place = self.got[:head].lower().find(b"content-length:")
        length = int(self.got[place + 15 : head].split(b"\r\n", 1)[0])
        return len(self.got) >= head + 4 + length


class Queue:
    """All connections, the requests they take turns with and what was answered when."""

    def __init__(self, port: int, connections: int, requests: Path) -> None:
        asked = json.loads(requests.read_text())
        self.shapes = [text.encode().split(ID) for text in asked["requests"]]
        self.expected, self.numbers = b"HTTP/1.1 %d" % asked["status"], count(asked["first"])
        self.also = (
            b"HTTP/1.1 %d" % asked["also"] if asked["also"] else None
        )  # no answer that counts, and no fault
        self.ends, self.waits = array.array("d"), array.array("d")
        self.bad: list[str] = []
        tills = [Till(port) for _ in range(connections)]
        self.tills = {till.socket.fileno(): till for till in tills}

    def request(self) -> bytes:
        """The next request."""
        n = next(self.numbers)
        return (b"P%012d" % n).join(self.shapes[n % len(self.shapes)])

    def run(self, seconds: float) -> None:
        """Send until the time is over and all is answered."""
        poll, until, busy = select.epoll(), clock.time() + seconds, len(self.tills)
        for fd, till in self.tills.items():
            poll.register(fd, select.EPOLLIN)
            till.send(self.request())
        while busy:
            for fd, _ in poll.poll(10):
                till = self.tills[fd]
                if not till.is_answered():
                    continue
                if self._note(till) < until:
                    till.send(self.request())
                else:
                    busy -= 1

    def _note(self, till: Till) -> float:
        """Remember an answer; the instant it came."""
        now = clock.time()
        if self.also and till.got.startswith(self.also):
            return now
        self.ends.append(now)
        self.waits.append(now - till.sent)
        if not till.got.startswith(self.expected):
            self.bad.append(till.got[:600].decode(errors="replace"))
        return now


def main(port: int, connections: int, seconds: float, requests: Path, answers: Path) -> None:
    """Run, write the answers' times and say how many there were and how many were not as expected."""
    queue = Queue(port, connections, requests)
    queue.run(seconds)
    with answers.open("wb") as file:
        queue.ends.tofile(file)
        queue.waits.tofile(file)
    print(json.dumps({"answers": len(queue.ends), "bad": len(queue.bad), "example": queue.bad[:1]}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
