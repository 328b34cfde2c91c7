"""The inference process: published extractors and search indexes in memory, answering over a socket. Holds torch."""
