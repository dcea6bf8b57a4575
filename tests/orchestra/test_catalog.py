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
        (
            "class Algorithm:\n    async def run(self, at, algo_id): ...\n",
            "line 2: run must be a plain def",
        ),
    ],
)
def test_a_file_that_cannot_run_is_listed_with_its_error(
    folder: Path, source: str, error: str
) -> None:
    (folder / "broken.py").write_text(source)
    entry = catalog.find("broken")
    assert entry is not None and entry.error is not None
    assert entry.error.startswith(error)


def test_of_a_class_written_twice_the_one_that_runs_is_described(folder: Path) -> None:
    old = "class Algorithm:\n    title = 'Old'\n"
    new = "class Algorithm:\n    title = 'New'\n    def run(self, current_time, algo_id): ...\n"
    (folder / "mine.py").write_text(old + new)
    assert [(entry.title, entry.error) for entry in catalog.catalog()] == [("New", None)]


def test_a_changed_file_is_read_again(folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text("class Algorithm: pass\n")
    assert catalog.catalog()[0].error is not None
    file.write_text("class Algorithm:\n    def run(self, current_time, algo_id): ...\n")
    assert catalog.catalog()[0].error is None
    file.unlink()
    assert catalog.catalog() == []


def test_what_is_no_file_of_an_algorithm_hides_none(folder: Path) -> None:
    """An editor's lock is a link that leads nowhere; a Mac leaves ._ files on what it copies to."""
    good = "class Algorithm:\n    def run(self, current_time, algo_id): ...\n"
    (folder / "good.py").write_text(good)
    (folder / ".#good.py").symlink_to("me@here.1234")
    (folder / "._good.py").write_bytes(b"\x00\x05")
    (folder / "nowhere.py").symlink_to("gone.py")
    (folder / "itself.py").symlink_to("itself.py")
    (folder / "folder.py").mkdir()
    assert [(entry.name, entry.error) for entry in catalog.catalog()] == [("good", None)]


@pytest.mark.parametrize("deep", ["1+" * 50_000 + "1", "-" * 200_000 + "1"])
def test_a_file_that_python_cannot_parse_hides_none(folder: Path, deep: str) -> None:
    good = "class Algorithm:\n    def run(self, current_time, algo_id): ...\n"
    (folder / "deep.py").write_text(f"{good}x = {deep}\n")
    (folder / "good.py").write_text(good)
    assert [(entry.name, entry.error) for entry in catalog.catalog()] == [
        ("deep", "its source is nested too deeply to be read"),
        ("good", None),
    ]


def test_a_file_that_would_take_all_memory_to_read_is_not_read(folder: Path) -> None:
    good = "class Algorithm:\n    def run(self, current_time, algo_id): ...\n"
    large = folder / "large.py"
    large.write_text(f"{good}BARS = [{'1.25, ' * 45_000}]\n")
    (folder / "good.py").write_text(good)
    assert [(entry.name, entry.error) for entry in catalog.catalog()] == [
        ("good", None),
        ("large", "it is larger than 256 kB: keep its data in a file beside it"),
    ]
    large.write_text(f"{good}BARS = [{'1.25, ' * 42_000}]\n")
    assert [entry.error for entry in catalog.catalog()] == [None, None]


def test_a_class_may_be_written_in_every_way(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "class Base:\n    def run(self, current_time, algo_id): ...\n"
        "class Algorithm(Base):\n"
        "    title: str = 'Mine'\n"
        "    lot: int\n"
        "    table = {[]: 1}\n"
        "    parameters: dict = {'n': {'default': 5, 'min': 1, 'max': 9, 'title': 'N'}}\n"
    )
    assert catalog.catalog() == [catalog.CatalogEntry("mine", "Mine", "", N, None)]


@pytest.mark.parametrize(
    "parameters",
    ["{'n': dict(default=5, min=1, max=9)}", "{'n': {'default': 5, 'min': 1, 'max': MOST}}"],
)
def test_parameters_that_only_running_the_file_would_show_are_refused(
    folder: Path, parameters: str
) -> None:
    """They were left out in silence: neither the dialog nor --set knew them."""
    (folder / "mine.py").write_text(
        "MOST = 9\n"
        "class Algorithm:\n"
        f"    parameters = {parameters}\n"
        "    def run(self, current_time, algo_id): ...\n"
    )
    [entry] = catalog.catalog()
    assert (entry.parameters, entry.error) == (
        {},
        "line 3: parameters has to be written out as a literal, with no name or call in it: it is read"
        " without running the file",
    )


def test_the_shipped_algorithm_is_listed(configure) -> None:
    configure(ALGORITHMS_DIR="")
    entry = catalog.find("sma_crossover")
    assert entry is not None
    assert (entry.title, entry.error) == ("SMA crossover", None)


def test_path_tricks_find_nothing(folder: Path) -> None:
    (folder.parent / "outside.py").write_text("class Algorithm:\n    def run(self): ...\n")
    for name in ("../outside", "/etc/passwd", "", ".", "__init__"):
        assert catalog.find(name) is None
