"""What opening and reading a damaged or hostile archive may raise, beside our own errors."""

import lzma
import tarfile
import zipfile
import zlib

# ValueError: names that are no text; RuntimeError: encryption and unknown methods; OSError: bzip2, and the disk.
BAD_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError)
BAD_TAR = (tarfile.TarError, EOFError, OSError, ValueError, RecursionError)
