"""Light curves, their files, passbands, taxonomies, and the cuts that all surveys share."""
