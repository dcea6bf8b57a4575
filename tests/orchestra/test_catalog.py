"""The list of algorithms comes from reading the folder, and nothing in it is run."""

from pathlib import Path

import pytest

from orchestra import catalog

N = {"n": {"default": 5, "min": 1, "max": 9, "title": "N"}}


@pytest.fixture
def folder(tmp_path: Path, configure) -> Path:
    path = tmp_path / "algorithms"
    path.mkdir()
    configure(ALGORITHMS_DIR=path)
    return path


def test_files_are_described_without_running_them(folder: Path) -> None:
    (folder / "mine.py").write_text(
        '"""Module words."""\n'
        "raise RuntimeError('this file was run')\n"
        "class Algorithm:\n"
        '    """Buys the dip.\n\n    More."""\n'
        "    title = 'Mine'\n"
        "    parameters = {'n': {'default': 5, 'min': 1, 'max': 9, 'title': 'N'}}\n"
        "    def run(self, current_time, algo_id): ...\n"
    )
    (folder / "__init__.py").write_text("")
    (folder / "notes.txt").write_text("")
    assert catalog.catalog() == [catalog.CatalogEntry("mine", "Mine", "Buys the dip.", N, None)]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def broken(:\n", "line 1: "),
        ("x = 1\n", "has no class Algorithm"),
        ("class Algorithm: pass\n", "its class Algorithm has no method run"),
    ],
)
def test_a_file_that_cannot_run_is_listed_with_its_error(
    folder: Path, source: str, error: str
) -> None:
    (folder / "broken.py").write_text(source)
    entry = catalog.find("broken")
    assert entry is not None and entry.error is not None
    assert entry.error.startswith(error)


def test_a_changed_file_is_read_again(folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text("class Algorithm: pass\n")
    assert catalog.catalog()[0].error is not None
    file.write_text("class Algorithm:\n    def run(self, current_time, algo_id): ...\n")
    assert catalog.catalog()[0].error is None
    file.unlink()
    assert catalog.catalog() == []


def test_the_shipped_algorithm_is_listed(configure) -> None:
    configure(ALGORITHMS_DIR="")
    entry = catalog.find("sma_crossover")
    assert entry is not None
    assert (entry.title, entry.error) == ("SMA crossover", None)


def test_path_tricks_find_nothing(folder: Path) -> None:
    (folder.parent / "outside.py").write_text("class Algorithm:\n    def run(self): ...\n")
    for name in ("../outside", "/etc/passwd", "", ".", "__init__"):
        assert catalog.find(name) is None
