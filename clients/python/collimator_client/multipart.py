"""Files of a multipart/related response (PS3.18 section 8.6.1.2), one after the other and in bounded memory."""

import re
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from .protocol import CollimatorError


class FileWriter:
    """Writes each part as a file into a folder. A file has its name once it is whole."""

    def __init__(self, content_type: str, folder: Path) -> None:
        message = Message()
        message["content-type"] = content_type
        boundary = message.get_param("boundary")
        if message.get_content_type() != "multipart/related" or not isinstance(boundary, str):
            raise CollimatorError(None, f"expected multipart/related, got {content_type}")
        self._delimiter = b"\r\n--" + boundary.encode()
        # The first delimiter may lack its line end.
        self._buffer = b"\r\n"
        self._folder = folder
        self._file: BinaryIO | None = None
        self._target = folder
        self._is_over = False
        self.written: list[Path] = []

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the response."""
        self._buffer += chunk
        while not self._is_over:
            end = self._buffer.find(self._delimiter)
            if end < 0:
                # What may be the beginning of a delimiter waits for the rest of it.
                safe = max(len(self._buffer) - len(self._delimiter), 0)
                self._write(self._buffer[:safe])
                self._buffer = self._buffer[safe:]
                return
            rest = self._buffer[end + len(self._delimiter) :]
            if rest.startswith(b"--"):
                self._is_over = True
            elif b"\r\n\r\n" not in rest:
                self._write(self._buffer[:end])
                self._buffer = self._buffer[end:]
                return
            self._write(self._buffer[:end])
            self._finish()
            if not self._is_over:
                head, self._buffer = rest.split(b"\r\n\r\n", 1)
                self._begin(head)

    def close(self) -> list[Path]:
        """The files. Raises CollimatorError if the response ended in the middle of one."""
        if not self._is_over:
            self.abort()
            raise CollimatorError(None, "the response ended before its last file")
        return self.written

    def abort(self) -> None:
        """Removes the file that is not whole."""
        if self._file:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def _begin(self, head: bytes) -> None:
        location = re.search(rb"(?im)^content-location:\s*(\S+)", head)
        uid = location[1].decode("ascii", "replace").rsplit("/", 1)[-1] if location else ""
        # A sender chose it, so it is a name of a file only if it is a UID.
        name = uid if re.fullmatch(r"[0-9][0-9.]{0,63}", uid) else f"instance-{len(self.written) + 1}"
        self._target = self._folder / f"{name}.dcm"
        self._file = self._target.with_suffix(".part").open("wb")

    def _write(self, data: bytes) -> None:
        if self._file:
            self._file.write(data)

    def _finish(self) -> None:
        if self._file:
            self._file.close()
            Path(self._file.name).replace(self._target)
            self._file = None
            self.written.append(self._target)
