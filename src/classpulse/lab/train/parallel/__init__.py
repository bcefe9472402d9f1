"""One training by several processes: all-reduce, a parameter server, shared memory."""
