"""Using trained models: prediction, released models, calibration in use, explanation, export."""
