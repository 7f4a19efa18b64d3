"""Incomplete data of a killed process does not affect the coverage of others."""

from __future__ import annotations

from pathlib import Path

from coverage import CoverageData

from tests.coverage_data import remove_unreadable


def written(path: Path) -> Path:
    data = CoverageData(basename=str(path))
    data.add_lines({f"/module_{number}.py": range(1, 500) for number in range(100)})
    data.write()
    return path


def test_only_unreadable_data_files_are_removed(tmp_path: Path) -> None:
    good, cut, damaged = (written(tmp_path / f".coverage.{name}") for name in ("good", "cut", "damaged"))
    content = good.read_bytes()
    cut.write_bytes(content[:5000])
    damaged.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    (tmp_path / ".coverage.empty").touch()
    (tmp_path / ".coverage.other").write_text("not a database, and longer than the head of one" * 9)
    (tmp_path / "notes").touch()
    remove_unreadable(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [".coverage.good", "notes"]
    combined = CoverageData(basename=str(tmp_path / "combined"))
    kept = CoverageData(basename=str(good))
    kept.read()
    combined.update(kept)
    assert len(combined.measured_files()) == 100
