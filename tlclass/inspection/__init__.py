"""What is in a survey, and what is wrong with it."""
