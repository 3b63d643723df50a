"""The models that this package ships, and later versions of them that a site trained itself.

A version of one's own is a directory that `hie train` made, put below `models/NAME/` of the data directory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hie.errors import Busy
from hie.registry import Loader, Model
from hie.settings import Settings

if TYPE_CHECKING:
    from hie.context import Context

CHEST_XRAY = "chest-xray"
RECOMMENDER = "recommender"


logger = logging.getLogger(__name__)


def _chest_xray(directory: Path) -> Any:
    from ml.runtime import ModelRuntime

    runtime = ModelRuntime(directory)
    runtime.warm_up()
    return runtime


def _recommender(directory: Path) -> Any:
    from ml.recommender import Model

    return Model.load(directory)


def _shipped(name: str) -> Path:
    import ml

    package = Path(ml.__file__).parent
    return package / "cnn" / "weights" / name if name == CHEST_XRAY else package / name / "weights" / name


def _model(name: str, load: Callable[[Path], Any]) -> Model:
    return Model(name, lambda _: load(_shipped(name)), partial(_versions, name, load))


def _versions(name: str, load: Callable[[Path], Any], settings: Settings) -> Mapping[str, Loader]:
    """How each version is loaded: the shipped one first, then the site's own in the order of their directories."""
    own = sorted((settings.data_dir / "models" / name).glob("*/manifest.json"))
    found: dict[str, Loader] = {}
    for directory in (_shipped(name), *(manifest.parent for manifest in own)):
        version = _version_of(directory, name)
        if version is not None:
            found.setdefault(version, partial(load, directory))
    return found


def _version_of(directory: Path, name: str) -> str | None:
    """The version that a manifest states; None where it cannot be read, which the log tells."""
    try:
        manifest = directory / "manifest.json"
        stamp = manifest.stat()
        return _stated(manifest, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, ValueError, KeyError, TypeError):
        logger.error("a model's manifest cannot be read", extra={"model": name})
        return None


@lru_cache(maxsize=64)
def _stated(manifest: Path, _changed: int, _size: int) -> str:
    """The version that a manifest of this age and size states: it is read once, of a large file for one word."""
    return str(json.loads(manifest.read_bytes())["version"])


def loaded(name: str, ctx: Context) -> Any:
    """The model of this name; Busy where its files are missing or damaged, which is no fault of the request."""
    from ml.result import ModelUnreadable

    try:
        return ctx.models[name]
    except ModelUnreadable as error:
        raise Busy(f"The model {name} cannot be loaded here: {error}") from error


MODELS = (_model(CHEST_XRAY, _chest_xray), _model(RECOMMENDER, _recommender))
