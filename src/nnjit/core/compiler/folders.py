"""Where compiled kernels lie, and which files may be trusted.

Loading a kernel runs code from a file, so a file counts only if nobody else can have written it:
it and its folder belong to this user or to root, neither group nor others may write to them, and
neither is a link. Folders are made for this user alone.
"""

import os
import stat
import sys

import numba

__all__ = ["candidates", "make", "problem", "read", "remove", "usable", "write"]

_NAME = "nnjit"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_UNSAFE = stat.S_IWGRP | stat.S_IWOTH
# Windows has neither owners in this sense nor folders as handles; a user's own folder is kept
# from others by its access list.
_POSIX = hasattr(os, "geteuid") and os.open in os.supports_dir_fd


def candidates():
    """Folders to look for kernels, the first first; they need not exist."""
    chosen, own = numba.config.CACHE_DIR, _user_folder()
    places = [os.path.abspath(chosen)] if chosen else []
    if os.path.isabs(own):  # not where nobody knows the user's home
        places.append(own)
    return [os.path.join(place, _NAME) for place in places]


def _user_folder():
    """The user's folder for what can be made anew."""
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches")
    if os.name == "nt":
        return os.environ.get("LOCALAPPDATA", os.path.join(home, "AppData", "Local"))
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return chosen if os.path.isabs(chosen) else os.path.join(home, ".cache")


def make(folder):
    """Make a folder, for this user alone, unless it is there; whether it is usable."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    try:
        for below in reversed(missing):  # os.makedirs would leave those above to the umask
            os.mkdir(below, 0o700)
            folder = below
    except FileExistsError:  # another process was quicker
        folder = missing[0]
    except OSError:
        return False
    return usable(folder)


def usable(folder):
    """Whether a folder can be written to and trusted, if it is there, or else be made."""
    if problem(folder) is not None:
        return False
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def problem(folder):
    """Why a folder is not used; None if it is, or would be if it existed."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror
    if stat.S_ISLNK(found.st_mode):
        return "it is a link"
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a folder"
    return _distrust(found)


def _distrust(found):
    """Why a file or folder may be somebody else's work; None if it may not."""
    if not _POSIX:
        return None
    if found.st_uid not in (0, os.geteuid()):
        return "it belongs to another user"
    if found.st_mode & _UNSAFE:
        return "others may write to it"
    return None


def read(folder, name):
    """Content of a file; None if it is not there or not to be trusted."""
    try:
        handle = _open(folder, name)
        with open(handle, "rb") as stream:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or _distrust(found):
                return None
            return stream.read()
    except OSError:
        return None


def _open(folder, name):
    """Open a file of a folder that is trusted at this very moment."""
    if not _POSIX:
        return os.open(os.path.join(folder, name), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)
    try:
        if _distrust(os.fstat(place)):
            raise PermissionError(folder)
        return os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NO_LINK, dir_fd=place)
    finally:
        os.close(place)


def write(folder, name, content):
    """Put a file in its place at once, readable by this user alone; OSError if that fails."""
    path = os.path.join(folder, name)
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise


def remove(path):
    """Remove a file if it is there and can be removed."""
    try:
        os.remove(path)
    except OSError:
        pass
