"""Benchmarks in folders: which there are, how they are cut, checked and scored."""
