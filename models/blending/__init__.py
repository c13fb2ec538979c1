"""Second stages: several models' scores in, candidates, features and boosted trees out."""
