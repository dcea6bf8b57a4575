"""What goes with a backup of the ledger, so that it brings a whole machine back: algorithms and settings.

A zip beside the backup holds the algorithms' files, and ``.env`` without whatever is secret.
"""

import logging
import zipfile
from dataclasses import fields
from pathlib import Path

from dotenv import dotenv_values

from orchestra.base import settings
from orchestra.base.settings import ROOT, Settings

ALGORITHMS = "algorithms/"
SETTINGS = "settings.env"

log = logging.getLogger("autotrader.backups")


def beside(backup: Path) -> Path:
    """Where the files of a backup are."""
    return backup.with_suffix(".zip")


def pack(target: Path) -> None:
    """Write the algorithms' files and the settings that are no secret into a zip.

    A file that cannot be read is left out, with a line in the log: the ledger's backup is not its affair.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(settings.current().algorithms_dir.glob("*.py")):
            try:
                contents = path.read_bytes()
            except OSError as error:
                log.warning("%s is not in the backup: %s", path.name, error.strerror)
                continue
            _add(packed, ALGORITHMS + path.name, contents)
        _add(packed, SETTINGS, _open_settings(ROOT / ".env"))


def unpack_missing(packed_file: Path) -> list[str]:
    """Put back the algorithms that are not there any more, and return their names; none is replaced."""
    folder = settings.current().algorithms_dir
    put_back = []
    with zipfile.ZipFile(packed_file) as packed:
        for name in packed.namelist():
            own = name.removeprefix(ALGORITHMS)
            target = folder / Path(own).name  # whatever else a zip may name
            if not name.startswith(ALGORITHMS) or not own.endswith(".py") or target.exists():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            target.write_bytes(packed.read(name))
            put_back.append(target.name)
    return put_back


def _add(packed: zipfile.ZipFile, name: str, contents: bytes | str) -> None:
    """Add a file without a date: a zip knows none before 1980, where a clock may still be."""
    packed.writestr(zipfile.ZipInfo(name), contents, zipfile.ZIP_DEFLATED)


def _open_settings(env_file: Path) -> str:
    """The lines of ``.env`` that set something, without keys and without what is none of ours."""
    told = {each.name.upper() for each in fields(Settings) if not each.metadata["secret"]}
    written = dotenv_values(env_file) if env_file.exists() else {}
    return "".join(f"{name}={value}\n" for name, value in written.items() if value and name in told)
