"""The models that this package ships, as the registry loads them: once in a process, at the first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.errors import Busy
from hie.registry import Model
from hie.settings import Settings

if TYPE_CHECKING:
    from hie.context import Context

CHEST_XRAY = "chest-xray"
RECOMMENDER = "recommender"


def _chest_xray(_: Settings) -> Any:
    from pathlib import Path

    import ml
    from ml.runtime import ModelRuntime

    runtime = ModelRuntime(Path(ml.__file__).parent / "cnn" / "weights" / CHEST_XRAY)
    runtime.warm_up()
    return runtime


def _recommender(_: Settings) -> Any:
    from ml.recommender import MODEL_DIRECTORY, Model

    return Model.load(MODEL_DIRECTORY)


def loaded(name: str, ctx: Context) -> Any:
    """The model of this name; Busy where its files are missing or damaged, which is no fault of the request."""
    from ml.result import ModelUnreadable

    try:
        return ctx.models[name]
    except ModelUnreadable as error:
        raise Busy(f"The model {name} cannot be loaded here: {error}") from error


MODELS = (Model(CHEST_XRAY, _chest_xray), Model(RECOMMENDER, _recommender))
