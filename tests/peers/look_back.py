"""A relay in front of the stand-in for Prefect Cloud, which may look back for some days only: a question for events
whose window is wider is refused, and noted. All else goes through as it is, websockets, too.
"""

import re
import socket
import threading
from datetime import datetime, timedelta

import gateway

SPAN_MAX = timedelta(days=14)
WINDOW = re.compile(rb'"occurred":\{"since":"([^"]+)","until":"([^"]+)"\}')
# A window that two reads share is found in the second.
SHARED_BYTES = 120
REFUSAL = b'HTTP/1.1 422 Unprocessable Entity\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'


class LookBack:
    """The relay to a port of this machine."""

    def __init__(self, port):
        self.onward, self.asked, self.refused = port, 0, []
        self.listener = socket.create_server((gateway.LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection((gateway.LOOPBACK, self.onward))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source, sink, asks):
        unseen = b""
        try:
            while read := source.recv(1 << 16):
                unseen += read if asks else b""
                for window in WINDOW.finditer(unseen):
                    unseen = unseen[window.end() :]
                    if not self._takes(*(moment.decode() for moment in window.groups())):
                        source.sendall(REFUSAL)
                        return
                    break
                unseen = unseen[-SHARED_BYTES:]
                sink.sendall(read)
        except OSError:
            """One of both is gone."""
        finally:
            for end in source, sink:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    """It is closed."""

    def _takes(self, since, until):
        self.asked += 1
        is_taken = datetime.fromisoformat(until) - datetime.fromisoformat(since) <= SPAN_MAX
        self.refused += [] if is_taken else [(since, until)]
        return is_taken
