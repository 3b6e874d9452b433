"""What a model was trained on, in words."""

from tlclass.network.checkpoint import TrainedModel

ADAPTED = "adapted"  # key of `TrainedModel.training`: to which unlabelled light curves


def history(model: TrainedModel) -> str:
    """Of which light curves a model learnt: `pretrained on simulated light curves, trained on 400 labels of real light curves of bts`.

    What the model's file says of its training is all that is known.
    """
    adapted = model.training.get(ADAPTED) or {}
    if not adapted:
        return before_adaptation(model)
    return f"{before_adaptation(model)}, adapted to {adapted['objects']:,} light curves of {adapted['survey']} without labels"


def before_adaptation(model: TrainedModel) -> str:
    """The same without what the model was adapted to."""
    row, labels = model.row, model.labels
    if not labels:
        return f"trained on {_kind(model.simulated)} light curves"
    own = f"trained on {labels:,} labels of {_kind(bool(row.get('simulated')))} light curves of {row['target']}"
    if not model.training.get("source"):
        return own
    return f"pretrained on {_kind(row.get('source_simulated', model.simulated))} light curves, {own}"


def _kind(simulated: bool) -> str:
    return "simulated" if simulated else "real"
