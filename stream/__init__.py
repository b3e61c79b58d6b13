"""Everything that has a clock: capture, ring buffer, engine, vitals, renderers, page, command line."""
