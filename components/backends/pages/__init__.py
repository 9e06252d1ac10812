"""What the pages of datasets and pairs share: look, words, scales and charts."""
