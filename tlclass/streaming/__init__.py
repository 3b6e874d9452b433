"""Alerts as they arrive: the state of every live object, one step per new observation, and what is said of it."""
