"""What a model was trained on, in words."""

from tlclass.network.checkpoint import TrainedModel

ADAPTED = "adapted"  # `tlclass.training.distillation.ADAPTED`, whose import takes seconds


def history(model: TrainedModel) -> str:
    """Of which light curves a model learnt, e.g. `pretrained on simulated light curves, trained on 400 labels of bts`.

    Args:
        model: what its file says of its training is all that is known.
    """
    row, adapted = model.training.get("row") or {}, model.training.get(ADAPTED) or {}
    labels = row.get("n_train", 0) + row.get("n_val", 0)
    parts = []
    if not labels:
        parts.append(f"trained on {_kind(model.simulated)} light curves")
    elif model.training.get("source"):
        parts.append(f"pretrained on {_kind(row.get('source_simulated', model.simulated))} light curves")
    if labels:
        parts.append(
            f"trained on {labels:,} labels of {_kind(bool(row.get('simulated')))} light curves of {row['target']}"
        )
    if adapted:
        parts.append(f"adapted to {adapted['objects']:,} light curves of {adapted['survey']} without labels")
    return ", ".join(parts)


def _kind(simulated: bool) -> str:
    return "simulated" if simulated else "real"
