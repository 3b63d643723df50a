"""The figures of a model card, drawn from the manifest so that no figure is ever typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEASURES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1": "F1",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


def figures(manifest: Mapping[str, Any]) -> str:
    """Markdown of everything that was measured."""
    parts = [
        _identity(manifest),
        "### On official splits, with 95 % bootstrap intervals",
        _performance(manifest["metrics"]),
        "### Single networks and the baseline",
        _comparison(manifest),
        "### Refused by the gate",
        _refused(manifest["metrics"]["refused"]),
    ]
    return "\n\n".join(parts) + "\n"


def _identity(manifest: Mapping[str, Any]) -> str:
    training = manifest["training"]
    leakage = training[0]["leakage"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(manifest["versions"].items()))
    rows = {
        "model": f"`{manifest['name']}` `{manifest['version']}`",
        "`model.onnx`, SHA-256": f"`{manifest['files']['model.onnx']['sha256']}`",
        "data file, SHA-256": f"`{manifest['data']['sha256']}`",
        "licence of the data": manifest["data"]["licence"],
        "networks": f"{len(training)}, seeds {', '.join(str(member['seed']) for member in training)}",
        "parameters": f"{manifest['parameters']:,}",
        "training images": f"{training[0]['train_images']:,}, after {leakage['dropped_from_train']} were left out "
        f"({leakage['repeated_in_train']} repeat another one, {leakage['train_in_val']} are in val, "
        f"{leakage['train_in_test']} in test)",
        "training time on two shared cores": f"{manifest['training_seconds']:.0f} s",
        "temperature": f"{manifest['calibration']['temperature']}",
        "decision threshold": f"{manifest['threshold']['value']}",
        "gate threshold": f"{manifest['gate']['threshold']:.4f}",
        "made with": versions,
    }
    return _table(("", ""), list(rows.items()))


def _performance(metrics: Mapping[str, Any]) -> str:
    rows = [
        (title, *(_interval(metrics[split][name]) for split in ("val", "test"))) for name, title in MEASURES.items()
    ]
    for title, name in (
        ("calibration error before calibration", "ece_before_calibration"),
        ("accuracy among images that the gate accepts", "accuracy_of_accepted"),
    ):
        rows.append((title, *(f"{metrics[split][name]:.3f}" for split in ("val", "test"))))
    other = metrics["test"]["accuracy_at_youden_threshold_of_val"]
    rows.append((f"accuracy at val's best threshold, {other['threshold']:.3f}", "", f"{other['accuracy']:.3f}"))
    counts = [f"{split} ({metrics[split]['images']} images)" for split in ("val", "test")]
    return _table(("", *counts), rows)


def _comparison(manifest: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{row['architecture']}, width {row['width']}, seed {row['seed']}",
            f"{row['parameters']:,}",
            f"{row['epochs']}",
            f"{row['seconds']:.0f}",
            f"{row['val']['auc']['value']:.4f}",
            f"{row['threshold']:.3f}",
            _interval(row["test"]["auc"]),
            _interval(row["test"]["accuracy"]),
            f"{row['test']['specificity']['value']:.3f}",
        )
        for row in (*manifest["members"], manifest["baseline"])
    ]
    heading = ("", "parameters", "epochs", "s", "val AUC", "threshold", "test AUC", "test accuracy", "specificity")
    return _table(heading, rows)


def _refused(refused: Mapping[str, Any]) -> str:
    rows = [(kind, f"{row['images']}", f"{row['share']:.1%}") for kind, row in refused.items()]
    return _table(("pictures", "number", "refused"), rows)


def _interval(interval: Mapping[str, float]) -> str:
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
