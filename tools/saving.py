"""What JupyterLab saves of a live figure, as `make lab` starts it: the picture, not the place of the widget.

A widget lives as long as its kernel. In a notebook that was run, saved and opened again without it,
ipywidgets says "Error displaying widget: model not found", and nothing else that the output holds is shown.
"""

from typing import Any

WIDGET = "application/vnd.jupyter.widget-view+json"


def keep_pictures(*, model: dict[str, Any], **others: Any) -> None:
    """Jupyter's hook before it saves: live figures are left as their words and picture.

    Other widgets stay as they are. On the reader's screen nothing changes until the notebook is opened again.
    """
    if model["type"] != "notebook" or not model.get("content"):
        return
    for cell in model["content"]["cells"]:
        for output in cell.get("outputs", []):
            if "live" in output.get("metadata", {}).get("image/png", {}):
                output["data"].pop(WIDGET, None)
