"""What clients of other servers speak: the Open Inference Protocol v2 under /v2, and MLflow's /invocations."""
