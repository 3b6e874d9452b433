"""What a user would pick instead: trees on light-curve features, as arms of a sweep."""
