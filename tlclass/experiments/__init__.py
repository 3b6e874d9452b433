"""Experiments: the plan, arms, jobs, source models, results, and sweeps of many jobs."""
