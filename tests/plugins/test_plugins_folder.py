"""Airflow executes every Python file of the plugins folder that .airflowignore does not name, under its bare stem."""

from __future__ import annotations

from pathlib import Path

from airflow._shared.module_loading import find_path_from_directory
from airflow.plugins_manager import _get_plugins

PLUGINS = Path(__file__).parents[2] / "plugins"


def executed() -> list[Path]:
    """What the plugin manager would execute."""
    return [
        path
        for path in map(Path, find_path_from_directory(str(PLUGINS), ".airflowignore", "glob"))
        if path.suffix == ".py"
    ]


def test_only_plugins_are_executed() -> None:
    assert [path.name for path in executed() if not path.name.endswith("_plugin.py")] == []


def test_the_folder_loads_under_the_real_plugin_manager() -> None:
    _get_plugins.cache_clear()
    plugins, errors = _get_plugins()
    assert errors == {}
    ours = {path.stem for path in executed()}
    loaded = {type(plugin).__module__ for plugin in plugins if "$PLUGINS_FOLDER" in str(plugin.source)}
    assert loaded == ours
