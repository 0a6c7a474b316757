"""Training for Distillex: data, models, the training loop, distillation, evaluation, export."""
