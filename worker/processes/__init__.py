"""The pool of scoring processes, and what runs inside one."""
