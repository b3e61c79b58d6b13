"""Many feeds in one process: a file that lists them, one ascender that batches their frame pairs, one page."""
