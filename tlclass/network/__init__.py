"""The network: encoders, heads, freeze policies, model files, inference."""
